"""A training recipe as a typed tree, and the rules across its slots; imports no torch.

Import `Recipe` and `read` from `config`, the settings of one section from `sections`, `check` from
`check`.
"""
