"""Generation in the trainer's process: decode batch, cache, sampling. Used by `engines/hf.py`."""
