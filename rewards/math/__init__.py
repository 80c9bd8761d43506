"""Is this mathematical answer the gold answer? Runs in worker processes; imports sympy.

values    what an answer can be: forms, expressions, sets of reals, units
parse     text -> a form
compare   form against form, with quantities and small_forms; dates, math_verify
verify    gold and response -> verdict
"""
