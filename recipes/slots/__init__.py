"""Registries of slot functions: the signature is the schema; schedules; strict options.

Import `Registry` from `registry`, `Spec` and the option marks from `spec`.
"""
