"""Verifiers under test: probes, hostile responses, error rates, and what a verdict rests on.

Import `provenance_of` from `provenance`, `preflight_verifier` from `preflight`.
"""
