"""Reward functions written elsewhere: their signatures, and the workers that call them.

Import `PluginSpec`, `inspect_plugin` and `score` from `functions`.
"""
