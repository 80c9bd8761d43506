"""The packed batch that the stages fill, and how it is cut into microbatches; torch only.

Import `TokenBatch` from `token_batch`, `pack` from `pack`.
"""
