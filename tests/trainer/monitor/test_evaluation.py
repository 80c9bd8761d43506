"""`temper eval`: what it cannot evaluate is refused in words."""

import io
import json

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from tests.support.models import tiny_model
from trainer.models.tiny import make_tokenizer
from trainer.monitor.evaluation import run_evaluation

SUMS = "problems.source={name: sums, split: heldout, size: 2, seed: 0}"


def folder_of(folder, arch, **changes):
    tiny_model(folder, arch, **changes)
    make_tokenizer("0123456789+=", 128).save_pretrained(folder)
    return folder


def refusal(folder, engine="hf"):
    console = Console(file=io.StringIO())
    with pytest.raises(RecipeError) as refused:
        run_evaluation(
            str(folder), "sums", [SUMS], engine_name=engine, out=None, against=None, console=console
        )
    return str(refused.value)


def test_a_model_that_is_not_causal_is_refused(tmp_path):
    assert "(model type bert) cannot be trained or sampled" in refusal(folder_of(tmp_path, "bert"))


def test_a_model_whose_attention_is_not_packed_is_refused_by_the_hf_engine(tmp_path):
    found = refusal(folder_of(tmp_path, "phimoe", sliding_window=3))
    assert "engine: engine hf cannot decode a PhimoeForCausalLM" in found
    assert "use engine vllm" in found


def test_a_model_without_a_context_length_is_refused(tmp_path):
    folder = folder_of(tmp_path, "mamba")
    config = json.loads((folder / "config.json").read_text())
    config.pop("max_position_embeddings", None)
    (folder / "config.json").write_text(json.dumps(config))
    found = refusal(folder)
    assert "(model type mamba) names no context length; add max_position_embeddings" in found


def test_an_encoder_decoder_is_refused(tmp_path):
    folder = folder_of(tmp_path, "qwen3")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "is_encoder_decoder": True}))
    assert "is an encoder-decoder" in refusal(folder)
