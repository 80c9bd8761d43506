"""`temper sft` refuses a model that a run could not train afterwards."""

import json

import pytest

from recipes.errors import RecipeError
from tests.support.policies import model_folder
from trainer.commands.sft import run_sft

PROBLEMS = "problems.source={name: sums, split: train, size: 8, seed: 0, demonstrations: true}"


@pytest.mark.parametrize(
    ("arch", "changes", "words"),
    [
        ("bert", {}, "(model type bert) cannot be trained or sampled here: it is not causal"),
        ("qwen3", {"is_encoder_decoder": True}, "(model type qwen3) is an encoder-decoder"),
        ("qwen3", {"model_type": "of_tomorrow"}, "as a causal language model: ValueError"),
    ],
)
def test_a_model_that_no_run_can_train_is_refused_before_the_first_step(
    tmp_path, arch, changes, words
):
    base = model_folder(tmp_path / "base", arch)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(RecipeError) as refused:
        run_sft("quickstart_sft", [f"output={tmp_path / 'out'}", f"model={base}", PROBLEMS])
    found = str(refused.value)
    assert found.startswith("--set model=") and ": model: " in found and words in found
