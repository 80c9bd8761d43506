"""Killable processes for code that may hang, crash or eat memory, and the small jobs run in them.

Import `Workers`, and the shared pool, from `pool`.
"""
