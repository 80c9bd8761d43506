"""Verdicts for samples: the runner, the circuit breaker, and verifiers that only watch.

Import the runner from `runner`, `CircuitBreaker` from `breaker`.
"""
