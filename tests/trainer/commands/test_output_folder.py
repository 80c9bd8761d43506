"""`temper sft` and `temper reward` never write over a model, or among other files, unasked."""

import io

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from trainer.commands.sft import run_sft
from trainer.reward_models.training import run_reward_training

CONSOLE = Console(file=io.StringIO())
PROBLEMS = "problems.source={name: sums, split: train, size: 8, seed: 0, demonstrations: true}"
LATER = r"pairs have more than 1 tokens"  # refused after the folder was accepted, before training


def sft(folder, **options):
    run_sft("quickstart_sft", [f"output={folder}", "model=gone/", PROBLEMS], **options)


def reward(folder, **options):
    sets = [f"output={folder}", "max_length=1"]
    run_reward_training("smoke/reward", sets, CONSOLE, **options)


COMMANDS = {"sft": (sft, "no model folder 'gone/'"), "reward": (reward, LATER)}


@pytest.fixture(params=COMMANDS)
def command(request):
    return COMMANDS[request.param]


def refusal(run, folder, **options):
    with pytest.raises(RecipeError) as refused:
        run(folder, **options)
    return str(refused.value)


def test_an_earlier_model_is_replaced_only_when_asked(command, tmp_path):
    run, later = command
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("weights of two days")
    found = refusal(run, tmp_path)
    assert f"output: {tmp_path} already holds a model; name a new folder" in found
    assert "replace this one with --overwrite" in found and found.startswith("--set output=")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(RecipeError, match=later):
        run(tmp_path, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", "checkpoints"])
def test_other_files_are_never_written_over(command, tmp_path, name, overwrite):
    run, _ = command
    (tmp_path / name).mkdir()
    (tmp_path / "config.json").write_text("{}")
    if name == "thesis.tex":
        (tmp_path / "config.json").unlink()
    found = refusal(run, tmp_path, overwrite=overwrite)
    assert "already holds other files" in found and "--overwrite" not in found


def test_a_folder_that_an_interrupted_command_left_is_free(command, tmp_path):
    run, later = command
    for name in ("initial", "trainer"):
        (tmp_path / name).mkdir()
    (tmp_path / "initial/config.json").write_text("{}")
    with pytest.raises(RecipeError, match=later):
        run(tmp_path)
