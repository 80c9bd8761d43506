"""One run on one rank: what the loop talks to, and how a recipe becomes it.

Import `Run` from `run`, and `compose` where a command starts one.
"""
