"""Rows, preference pairs and tables as they are read from files and data sets.

Import `read_table` and the row types from their files; sources build on them.
"""
