"""The ranks, and how a module and its optimizer are spread over them.

Import `Processes` and `ShardingSpec` from `ranks`; whole replicas and DeepSpeed stand behind them.
"""
