"""The model being trained: forward, backward, update, critic, and its weights for the engine.

Import `Policy` from `policy` and `Publisher` from `weights`.
"""
