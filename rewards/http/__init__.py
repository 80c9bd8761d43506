"""Models that somebody else serves over HTTP: requests, retries, rate limits, kept answers.

Import `Endpoint` from `endpoint`; secrets come from `credentials`.
"""
