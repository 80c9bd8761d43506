"""YAML to a checked tree: `extends`, overrides, and the place of every value in its file.

Import `load` from `load` and `validate` from `validate`.
"""
