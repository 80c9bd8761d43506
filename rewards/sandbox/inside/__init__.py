"""What runs inside a confined process: the lock-down, and the untrusted program.

Only the standard library is imported here, because nothing else can be seen from inside.
"""
