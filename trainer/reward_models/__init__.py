"""Reward models: training them, and serving their scores in this process.

Import `RewardHost` and its kin from `host`; `temper reward` runs `training`.
"""
