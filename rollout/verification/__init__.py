"""Verdicts for samples: the runner, the circuit breaker, and verifiers that only watch.

Import `Scorer` and `CircuitBreaker` from `runner`.
"""
