"""Generation in the trainer's process, used by `engines/hf.py`: import `HfEngine` from `engine`."""
