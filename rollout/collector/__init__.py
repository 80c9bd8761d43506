"""Problems in, scored and filtered groups out, and the ledger of where each sample ended.

Import `Collector` and `NotEnoughGroups` from `collector`, `filter_group` from `group_task`, and
`Ledger` and `sample_buckets` from `ledger`.
"""
