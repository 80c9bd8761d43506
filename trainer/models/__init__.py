"""One model: loading it, its backbone, tiled log-probs and value heads.

Import `load_model` and `load_tokenizer` from `load`; nothing here knows of ranks.
"""
