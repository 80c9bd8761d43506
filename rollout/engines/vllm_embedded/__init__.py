"""vLLM in the trainer's process: how it starts, and its outputs as completions."""
