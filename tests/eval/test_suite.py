"""Suites: every shipped one is whole, changes land where they should, mistakes are named."""

import asyncio
import json

import pytest

from eval.suite import SHIPPED, load_suite, suite_names
from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rollout.data.train_test_split import is_held_out
from rollout.problems import check_gold, load_problems

MINE = """\
name: mine
version: 1
problems:
  source: {name: sums, size: 4}
verifier: numeric
sampling: {max_tokens: 8}
samples: 4
k: [1, 4]
"""


def mine(tmp_path, text=MINE):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", suite_names())
def test_a_shipped_suite_is_called_what_its_file_is_called(name):
    suite = load_suite(name)
    assert suite.name == name and suite.version >= 1
    assert max(suite.k) <= suite.samples
    assert (SHIPPED / f"{name}.yaml").read_text().splitlines()[1].startswith("description: ")


def has_a_path(name):
    return "path" in load_suite(name).problems.source.options


@pytest.mark.parametrize("name", filter(has_a_path, suite_names()))
def test_a_shipped_suite_reads_a_local_file_of_the_same_problems(name, tmp_path):
    path = tmp_path / "local.jsonl"
    row = {"id": "a", "prompt": "1+1?", "answer": "2", "meta": {"test_list": ["assert f()"]}}
    path.write_text(json.dumps(row) + "\n")
    suite = load_suite(name, {"problems": {"source": {"path": str(path)}}})
    (problem,) = load_problems(suite.problems)
    assert (problem.id, problem.answer) == ("a", "2")
    assert "1+1?" in problem.messages[-1].content


def test_the_quickstarts_suite_is_held_out_problems_only():
    problems = load_problems(load_suite("sums").problems)
    assert len(problems) == 128
    assert all(is_held_out(problem.messages[-1].content) for problem in problems)


def test_every_gold_answer_of_the_quickstarts_suite_verifies():
    suite = load_suite("sums", {"problems": {"gold_sample": 128}})
    verify = function_of(suite.verifier)
    found = asyncio.run(check_gold(load_problems(suite.problems), verify, suite.problems))
    assert (found.checked, found.failures) == (128, ())


def test_a_file_of_ones_own_is_a_suite(tmp_path):
    suite = load_suite(mine(tmp_path))
    assert (suite.name, suite.sampling.temperature, suite.environment.name) == (
        "mine",
        1.0,
        "single_turn",
    )
    assert suite.settings["problems"]["source"]["size"] == 4
    assert suite.settings["verifier"]["name"] == "numeric"


def test_changes_are_laid_over_the_suite(tmp_path):
    changes = {"sampling": {"max_tokens": 64, "stop": ["\n\n", 'a "b"']}, "k": [2], "seed": 3}
    suite = load_suite(mine(tmp_path), changes)
    assert (suite.sampling.max_tokens, suite.k, suite.seed, suite.samples) == (64, [2], 3, 4)
    assert suite.sampling.stop == ["\n\n", 'a "b"']


def test_a_suite_can_be_renamed_and_keeps_the_rest(tmp_path):
    suite = load_suite(mine(tmp_path), {"name": "other", "seed": 1})
    assert (suite.name, suite.seed, suite.samples) == ("other", 1, 4)


def test_another_source_brings_its_own_options(tmp_path):
    source = {"path": "x.jsonl", "limit": 3, "name": "dataset"}
    suite = load_suite(mine(tmp_path), {"problems": {"source": source}})
    found = suite.problems.source
    assert (found.name, found.options["path"], found.options["limit"]) == ("dataset", "x.jsonl", 3)


def test_a_path_of_ones_own_does_not_inherit_the_hubs_columns():
    source = load_suite("gsm8k", {"problems": {"source": {"path": "x.jsonl"}}}).problems.source
    assert (source.options["split"], source.options["subset"]) == ("train", "")
    assert source.options["columns"].prompt == "prompt"
    assert load_suite("gsm8k").problems.source.options["columns"].prompt == "question"


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(RecipeError, match=r"no suite called 'gsm9k'.*did you mean 'gsm8k'"):
        load_suite("gsm9k")


def test_a_misspelt_setting_is_named_with_file_and_line(tmp_path):
    path = mine(tmp_path, MINE.replace("samples: 4", "sample: 4"))
    with pytest.raises(RecipeError) as raised:
        load_suite(path)
    text = str(raised.value)
    assert "mine.yaml:7: sample: the file has no such option; did you mean 'samples'?" in text
    assert "samples: this setting is required" in text


def test_a_misspelt_change_is_named():
    with pytest.raises(RecipeError, match=r"sampling\.max_token: sampling has no such option"):
        load_suite("sums", {"sampling": {"max_token": 3}})


def test_an_unknown_verifier_is_named(tmp_path):
    path = mine(tmp_path, MINE.replace("numeric", "numerical"))
    with pytest.raises(RecipeError, match=r"verifier: no verifier called 'numerical'"):
        load_suite(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": [8]}, r"pass@8 cannot be estimated from 4 samples"),
        ({"k": [0]}, r"every k be between 1 and samples"),
        ({"sampling": {"temperature": 0.0}}, r"at temperature 0 all 4 samples"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        load_suite(mine(tmp_path), changes)


def test_a_file_of_ones_own_may_be_named_without_its_suffix(tmp_path, monkeypatch):
    mine(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_suite("mine") == load_suite("mine.yaml")
