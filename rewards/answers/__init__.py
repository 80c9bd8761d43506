"""Which part of a response is its answer: boxes, tags, the last sentence, options, normalisation.

Import `extract` from `extract` and `normalize` from `normalize`; knows nothing of mathematics.
"""
