"""Models that somebody else serves over HTTP: requests, retries, rate limits, kept answers."""
