"""What is watched and kept while a run goes on: metrics, reward hacking, checkpoints, evaluation.

Each file stands alone; `run/` ties them to a run.
"""
