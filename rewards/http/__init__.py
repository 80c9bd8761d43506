"""Models that somebody else serves over HTTP: requests, retries, rate limits, kept answers.

Import `Endpoint` from `endpoint`, `ask` from `chat`, `HttpClient` from `client`.
"""
