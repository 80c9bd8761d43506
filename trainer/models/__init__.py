"""One model: loading it, its backbone, tiled log-probs and value heads.

Import `ModelSpec` and `load_causal_lm` from `load`; nothing here knows of ranks or of a recipe.
"""
