"""What `temper` does besides training: one file a command, `cli` names them all.

Nothing imports from here but `trainer/__main__.py` and the tools beside the package.
"""
