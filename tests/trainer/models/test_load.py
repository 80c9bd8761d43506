"""Model folders, loaded or refused with the reason; adapters."""

import json

import pytest
import torch
from pydantic import ValidationError

from recipes.errors import RecipeError
from tests.support.models import random_model, tiny_model
from tests.support.policies import model_folder as tiny_folder
from trainer.models.folder import model_folder, positions_of
from trainer.models.load import add_adapter, load_model, load_tokenizer
from trainer.models.tiny import make_tokenizer
from trainer.recipe.sections import LoraSpec, ModelSpec


def spec(folder, **options):
    return ModelSpec(path=str(folder), context_length=64, **options)


def test_loads_in_the_dtype_that_is_asked_for(tmp_path):
    tiny_folder(tmp_path)
    assert load_model(spec(tmp_path, dtype="bfloat16")).dtype == torch.bfloat16
    assert load_model(spec(tmp_path)).dtype == torch.float32


def test_a_folder_without_the_weights_of_its_head_is_refused(tmp_path):
    random_model("qwen3", tied=False).model.save_pretrained(tmp_path)
    make_tokenizer("0123456789+=", 128).save_pretrained(tmp_path)
    set_config(tmp_path, architectures=["Qwen3ForCausalLM"])
    with pytest.raises(RecipeError, match=r"model\.path: .* no weights for 1 parameters .*lm_head"):
        load_model(spec(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_encoder_decoder": True}, "(model type qwen3) is an encoder-decoder"),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, "has no language model head"),
        ({"architectures": ["BertForMaskedLM"]}, "was saved as BertForMaskedLM"),
        ({"model_type": "t5"}, "as a causal language model: ValueError"),
        ({"model_type": "of_tomorrow"}, "as a causal language model: ValueError"),
        ({"hidden_act": "of_tomorrow"}, "as a causal language model: KeyError"),
    ],
)
def test_what_is_not_a_causal_language_model_is_refused(tmp_path, changes, words):
    tiny_folder(tmp_path)
    set_config(tmp_path, **changes)
    with pytest.raises(RecipeError) as refused:
        load_model(spec(tmp_path))
    assert str(refused.value).startswith("model.path: ") and words in str(refused.value)


def set_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_every_dropout_is_off(tmp_path):
    tiny_folder(tmp_path, "gpt_neox", attention_dropout=0.3, hidden_dropout=0.2)
    config = load_model(spec(tmp_path)).config
    assert (config.attention_dropout, config.hidden_dropout) == (0.0, 0.0)


def test_tokenizer_is_the_one_beside_the_model(tmp_path):
    tiny_folder(tmp_path)
    assert load_tokenizer(spec(tmp_path)).decode([5, 6]) == "+0"


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"model\.path: no model folder '.*nowhere'"):
        model_folder(spec(tmp_path / "nowhere"))


def test_folder_that_is_no_model_says_what_is_missing(tmp_path):
    with pytest.raises(RecipeError) as caught:
        model_folder(spec(tmp_path))
    found = [fault.what for fault in caught.value.faults]
    assert [what.rpartition("no ")[2] for what in found] == [
        "config.json",
        "weights (*.safetensors)",
        "tokenizer",
    ]


def test_model_without_tokenizer_is_refused(tmp_path):
    tiny_model(tmp_path)
    with pytest.raises(RecipeError, match="no tokenizer; save the tokenizer beside the model"):
        model_folder(spec(tmp_path))


def test_context_longer_than_the_model_is_refused(tmp_path):
    tiny_folder(tmp_path, max_position_embeddings=32)
    with pytest.raises(RecipeError, match="context_length 64 is above the 32 positions"):
        model_folder(spec(tmp_path))


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 64, "n_positions": 8}, 64),
        ({"n_positions": 1024}, 1024),  # GPT-2
        ({"max_seq_len": 2048}, 2048),  # MPT
        ({"max_position_embeddings": None, "seq_length": 16}, 16),
        ({"hidden_size": 32}, None),  # Mamba
    ],
)
def test_the_context_length_is_found_under_any_name(config, positions):
    assert positions_of(config) == positions


def test_unknown_dtype_is_refused():
    with pytest.raises(ValidationError, match="dtype"):
        ModelSpec(path="m", dtype="float16")


def test_adapter_leaves_only_its_own_weights_to_train(tmp_path):
    tiny_folder(tmp_path)
    model = load_model(spec(tmp_path))
    add_adapter(model, LoraSpec(rank=3, target_modules=["q_proj"]))
    trained = {name: tuple(p.shape) for name, p in model.named_parameters() if p.requires_grad}
    layer = "model.layers.0.self_attn.q_proj"
    assert len(trained) == 4  # two layers, A and B each
    assert trained[f"{layer}.lora_A.default.weight"] == (3, 32)


def test_adapter_on_layers_that_do_not_exist_is_refused(tmp_path):
    tiny_folder(tmp_path)
    with pytest.raises(RecipeError, match=r"model\.lora\.target_modules: no LoRA layer"):
        add_adapter(load_model(spec(tmp_path)), LoraSpec(target_modules=["no_such_layer"]))


def test_adapter_on_the_head_is_refused(tmp_path):
    tiny_folder(tmp_path, tied=False)
    with pytest.raises(RecipeError, match="an adapter on the output layer"):
        add_adapter(load_model(spec(tmp_path)), LoraSpec(target_modules=["lm_head"]))


def test_all_linear_leaves_the_head_out(tmp_path):
    tiny_folder(tmp_path, tied=False)
    model = load_model(spec(tmp_path))
    add_adapter(model, LoraSpec())
    assert not any("lm_head" in n for n, p in model.named_parameters() if p.requires_grad)


def test_folder_of_a_hub_name_that_cannot_be_fetched_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match="neither a folder here nor could it be fetched"):
        model_folder(spec("nobody/no-such-model"))


def test_config_file_is_read_for_nested_text_models(tmp_path):
    tiny_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    nested = {"text_config": {"max_position_embeddings": 16}, "model_type": config["model_type"]}
    (tmp_path / "config.json").write_text(json.dumps(nested))
    with pytest.raises(RecipeError, match="above the 16 positions"):
        model_folder(spec(tmp_path))
