"""What runs inside a confined process: the lock-down, the untrusted program, the trusted judge.

Only the standard library is imported here, because nothing else can be seen from inside.
"""
