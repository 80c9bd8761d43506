"""A tiny reward model for tests, made in milliseconds.

folder = tiny_reward_model(tmp_path, scale=50)       random, with outputs far from each other
reference(folder, prompt, response)                  its output by transformers alone, unbatched
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Qwen3Config
from transformers import Qwen3ForSequenceClassification as Classifier

from trainer.models.tiny import make_tokenizer
from trainer.recipe.kinds import ALPHABET
from trainer.reward_models.conversation import own_pad_token


def tiny_reward_model(folder: Path, *, seed: int = 0, scale: float = 50.0, labels: int = 1) -> Path:
    """A random Qwen3 classifier with the character tokenizer; head_dim 32, which vLLM can serve."""
    tokenizer = make_tokenizer(ALPHABET, 512)
    own_pad_token(tokenizer)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=64,
        max_position_embeddings=512,
        num_labels=labels,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
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
