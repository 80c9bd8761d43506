"""Is this mathematical answer the gold answer? Runs in worker processes; imports sympy.

tokens   text -> tokens          scalar   tokens -> one sympy expression
forms    the kinds of answers    reading  tokens -> a form
values   equal expressions       regions  sets of reals       units   what follows a number
compare  form against form       judge    gold and response -> verdict
"""
