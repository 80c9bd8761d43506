"""vLLM servers: launch, connect, requests in flight, and weights pushed to them."""
