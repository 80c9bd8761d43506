"""The recipe's slot functions bound to a step's numbers, and the one place that reduces.

Import `Algorithm` from `algorithm`.
"""
