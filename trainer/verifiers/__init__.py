"""Verifiers that hold a model in this process; the slot is that of `rewards.verifiers`."""
