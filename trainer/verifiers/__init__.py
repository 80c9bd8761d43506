"""Verifiers that hold a model in this process; the slot is that of `rewards.verifiers`."""

from rewards.verifiers import verifier

__all__ = ["verifier"]

verifier.extend("trainer.verifiers")
