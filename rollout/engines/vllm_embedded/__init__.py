"""vLLM in the trainer's process: its start, and its requests as samples.

Import `start` and `Placement` from `start`, and `FlyingSample`, which the servers' engine uses too,
from `samples`.
"""
