"""vLLM servers: launch, connection, requests in flight, and weights pushed to them.

Import `Connection` from `connect` and `LaunchSpec` from `launch`; `worker`, `gloo` and `guard` run
in the servers' processes.
"""
