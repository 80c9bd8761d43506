"""A tiny reward model for tests, made in milliseconds.

folder = tiny_reward_model(tmp_path, scale=50)       random, with outputs far from each other
reference(folder, prompt, response)                  its output by transformers alone, unbatched
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import Qwen3ForSequenceClassification as Classifier

from trainer.models.tiny import make_tokenizer, tiny_config
from trainer.recipe.kinds import TinySpec
from trainer.reward_models.conversation import own_pad_token

TINY = TinySpec(hidden=64, layers=2, heads=2, kv_heads=1, intermediate=64, context_length=512)


def tiny_reward_model(folder: Path, *, seed: int = 0, scale: float = 50.0, labels: int = 1) -> Path:
    """A random Qwen3 classifier with the character tokenizer; head_dim 32, which vLLM can serve."""
    tokenizer = make_tokenizer(TINY.alphabet, TINY.context_length)
    own_pad_token(tokenizer)
    torch.manual_seed(seed)
    config = tiny_config(TINY, tokenizer)
    config.num_labels, config.tie_word_embeddings = labels, False
    model = Classifier(config)
    with torch.no_grad():
        model.score.weight.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def reference(folder: Path, prompt: str, response: str) -> float:
    """What transformers says of one conversation by itself."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        return float(model(**ids).logits[0, 0])
