"""Data files and data sets of the hub, read as table lines, checked rows or preference pairs.

Import `read` from `tables`, `Columns` and `to_rows` from `rows`, and `PairsSpec` and `load_pairs`
from `pairs`; the sources build on them.
"""
