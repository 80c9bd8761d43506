"""Problems in, scored and filtered groups out, and the ledger of where each sample ended.

Import `Collector`, `NotEnoughGroups` and `filter_group` from `collector`, `Ledger` and
`sample_buckets` from `ledger`.
"""
