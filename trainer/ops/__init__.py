"""Arithmetic that several slot functions share: sums over segments, ratios, GAE, value bins.

Pure functions on tensors and batches; every slot may import them.
"""
