"""The trusted side of a trial: the tests, and the comparison of answers, in a sandbox too.

Only the standard library and `rewards.sandbox.inside` are imported here.
"""
