"""A training recipe as a typed tree, and the rules across its slots.

Import `Recipe` and `read` from `config`, `check` from `check`.
"""
