"""A resume with other data, weights, tokenizer or suites is refused, or allowed by name."""

import json

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import to_plain
from rollout.problems import load_problems
from tests.support.runs import launch, smoke, tiny_base
from trainer.recipe.check import load_recipe
from trainer.run.inputs import fingerprints, refuse_other_inputs

ROWS = [{"prompt": f"{i}+1=", "answer": str(i + 1)} for i in range(8)]
SUITES = {"sums": "0a", "gsm8k": "0b"}


def started(tmp_path, *more):
    """The recipe of a run on a file, and what its checkpoint knows."""
    base, rows = tmp_path / "base", tmp_path / "rows.jsonl"
    if not base.exists():
        tiny_base(base)
        rows.write_text("\n".join(map(json.dumps, ROWS)))
    source = f"problems.source={{name: dataset, path: {rows}}}"
    recipe, _ = load_recipe("smoke/grpo", [*smoke(base, tmp_path / "run"), source, *more])
    return recipe


def now(recipe, suites=SUITES):
    return fingerprints(recipe, load_problems(recipe.problems, recipe.verifier), suites)


def saved(recipe):
    return {"recipe": to_plain(recipe), "inputs": now(recipe)}


def change(path):
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


CHANGES = {
    "problems": lambda folder: (folder / "rows.jsonl").write_text(
        "\n".join(map(json.dumps, [*ROWS[:-1], {"prompt": "7+1=", "answer": "9"}]))
    ),
    "model": lambda folder: change(folder / "base" / "model.safetensors"),
    "tokenizer": lambda folder: change(folder / "base" / "tokenizer_config.json"),
}
WORDS = {
    "problems": "the rows that problems.source gives changed",
    "model": r"the model's files \(model\.safetensors\) changed",
    "tokenizer": r"the tokenizer's files \(tokenizer_config\.json\) changed",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_input_is_refused_or_allowed_by_its_name(tmp_path, name):
    recipe = started(tmp_path)
    before = saved(recipe)
    assert refuse_other_inputs(recipe, before, now(recipe)) == ""
    CHANGES[name](tmp_path)
    with pytest.raises(RecipeError, match=f"{WORDS[name]}.*allow_change=\\[{name}\\]") as refused:
        refuse_other_inputs(recipe, before, now(recipe))
    assert len(refused.value.faults) == 1
    others = ",".join({"problems", "model", "tokenizer"} - {name})
    with pytest.raises(RecipeError):
        other = started(tmp_path, f"limits.allow_change=[{others}]")
        refuse_other_inputs(other, before, now(recipe))
    allowed = started(tmp_path, f"limits.allow_change=[{name}]")
    assert "changed" in refuse_other_inputs(allowed, before, now(recipe))


def test_a_suite_that_changed_is_refused_and_one_that_is_new_is_not(tmp_path):
    recipe = started(tmp_path)
    before = saved(recipe)
    assert refuse_other_inputs(recipe, before, now(recipe, {"sums": "0a", "new": "1"})) == ""
    with pytest.raises(RecipeError, match=r"the suite sums .* changed"):
        refuse_other_inputs(recipe, before, now(recipe, {**SUITES, "sums": "0c"}))
    on_purpose = {**before, "recipe": {**before["recipe"], "evaluate": [{"suite": "sums"}]}}
    assert refuse_other_inputs(recipe, on_purpose, now(recipe, {**SUITES, "sums": "0c"})) == ""


def test_the_folder_of_the_model_may_move(tmp_path):
    recipe = started(tmp_path)
    before = now(recipe)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    moved = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"path": str(tmp_path / "elsewhere")})}
    )
    assert now(moved) == before


def test_teacher_and_critic_count_too(tmp_path):
    teacher = tiny_base(tmp_path / "teacher", seed=1)
    recipe = started(tmp_path, f"teacher.path={teacher}", "terms=[{name: teacher_kl, coef: 1.0}]")
    before = saved(recipe)
    change(teacher / "model.safetensors")
    with pytest.raises(RecipeError, match=r"teacher: the teacher's files"):
        refuse_other_inputs(recipe, before, now(recipe))


@pytest.mark.slow
def test_a_run_goes_on_with_another_file_only_where_it_is_told_to(tmp_path):
    started(tmp_path)
    source = f"problems.source={{name: dataset, path: {tmp_path / 'rows.jsonl'}}}"
    options = [*smoke(tmp_path / "base", tmp_path / "run", steps=2), source]
    first = launch([*options, "steps=1"])
    assert first.returncode == 0, first.stderr
    CHANGES["problems"](tmp_path)
    refused = launch(options, resume=True)
    assert refused.returncode == 1 and "allow_change=[problems]" in refused.stderr
    allowed = launch([*options, "limits.allow_change=[problems]"], resume=True)
    assert allowed.returncode == 0 and "problems.source gives changed" in allowed.stderr
