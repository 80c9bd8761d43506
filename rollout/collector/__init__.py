"""Problems in, scored and filtered groups out; the ledger of where each sample ended.

Import `Collector` from `collector` and `Ledger` from `ledger`.
"""
