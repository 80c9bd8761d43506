"""A fault names the place, the fact and the fix; the three errors that users meet most."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from recipes.errors import Fault, RecipeError, did_you_mean, relative, shown, without_secrets
from recipes.loading.recipe_tree import PACKAGE, add_locations, load
from recipes.slots.registry import Registry

advantage: Registry[Any, Any] = Registry("advantage estimator", params=("batch",), packages=[])


@advantage.register()
def grpo(
    batch: float, *, std_normalize: bool = True, eps: Annotated[float, Field(gt=0)] = 1e-6
) -> float:
    """Stands in for the real one."""
    return batch


@advantage.register()
def rloo(batch: float) -> float:
    """Stands in for the real one."""
    return batch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "steps: 1\nadvantage: gpro\n",
            "grpo.yaml:2: advantage: no advantage estimator called 'gpro'; "
            "did you mean 'grpo'? (known: grpo, rloo)",
        ),
        (
            "advantage:\n  name: grpo\n  std_normalise: false\n",
            "grpo.yaml:3: advantage.std_normalise: grpo has no such option; "
            "did you mean 'std_normalize'? (options: std_normalize, eps)",
        ),
        (
            "advantage: {name: grpo,\n  std_normalize: yes}\n",
            "grpo.yaml:2: advantage.std_normalize: Input should be a valid boolean (got 'yes')",
        ),
        (
            "advantage: {name: grpo, eps: 0, std: 1}\n",
            "grpo.yaml:1: advantage.eps: Input should be greater than 0 (got 0)\n"
            "grpo.yaml:1: advantage.std: grpo has no such option; "
            "use one of: std_normalize, eps",
        ),
    ],
)
def test_a_mistake_in_a_recipe_reads_like_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grpo.yaml").write_text(text)
    loaded = load("grpo.yaml")
    with pytest.raises(RecipeError) as caught:
        advantage.bind(loaded.tree["advantage"])
    assert str(add_locations(caught.value, loaded, "advantage")) == message


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(what="wrong"), "wrong"),
        (Fault(what="wrong", fix="mend it"), "wrong; mend it"),
        (Fault(path="a.b", what="wrong"), "a.b: wrong"),
        (Fault(where="r.yaml:3", what="wrong"), "r.yaml:3: wrong"),
        (Fault(where="r.yaml:3", path="a", what="wrong", fix="do"), "r.yaml:3: a: wrong; do"),
    ],
)
def test_a_fault_is_place_fact_and_fix(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_an_error_lists_every_fault_on_a_line_of_its_own() -> None:
    error = RecipeError([Fault(path="a", what="one"), Fault(path="b", what="two")])
    assert str(error) == "a: one\nb: two"
    assert [fault.path for fault in error.faults] == ["a", "b"]
    assert isinstance(error, ValueError)


def test_halves_of_characters_in_a_fault_can_be_printed() -> None:
    fault = Fault(where="a\udc80.yaml:1", what="no file '\ud800'")
    assert str(fault) == "a\\udc80.yaml:1: no file '\\ud800'"


def test_a_long_value_is_cut() -> None:
    assert shown("x" * 300) == "'" + "x" * 199 + "..."


def test_an_error_without_a_fault_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        RecipeError([])


def test_only_near_names_are_suggested() -> None:
    assert did_you_mean("gpro", ["grpo", "rloo"]) == "did you mean 'grpo'? "
    assert did_you_mean("transformer", ["grpo", "rloo"]) == ""
    assert did_you_mean("grpo", []) == ""


def test_places_are_shown_from_here_or_from_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(str(tmp_path / "a" / "b.yaml")) == "a/b.yaml"
    assert relative(str(PACKAGE / "quickstart.yaml")) == "recipes/quickstart.yaml"
    assert relative("/elsewhere/a.yaml") == "/elsewhere/a.yaml"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("--set judge.api_key_env=9f-d0", "--set judge.api_key_env=<left out>"),
        ("--set judge.api_key_env=JUDGE_KEY", "--set judge.api_key_env=JUDGE_KEY"),
        ("--set judge={url: u, api_key: 'abc'}", "--set judge={url: u, api_key: '<left out>'}"),
        ("{'api_key_env': 'a-b', 'url': 'u'}", "{'api_key_env': '<left out>', 'url': 'u'}"),
        ("--set logger.token=abc", "--set logger.token=<left out>"),
        ("--set sampling.max_tokens=abc", "--set sampling.max_tokens=abc"),
        ("--set verifier.environment=[sk-12345678]", "--set verifier.environment=[<left out>]"),
        ("['hf_abcdefgh']", "['<left out>']"),
        ("columns={id: key}", "columns={id: key}"),
    ],
)
def test_what_may_be_a_key_is_not_repeated(setting: str, expected: str) -> None:
    assert without_secrets(setting) == expected


@pytest.mark.parametrize("override", ["advantage.api_key=a-secret", "advantage={token: a-secret}"])
def test_a_key_on_the_command_line_is_in_no_message_and_no_place(
    tmp_path: Path, override: str
) -> None:
    (tmp_path / "run.yaml").write_text("advantage: grpo\n")
    loaded = load(tmp_path / "run.yaml", [override])
    assert not any("a-secret" in source.where for source in loaded.sources.values())
    with pytest.raises(RecipeError) as caught:
        advantage.bind(loaded.tree["advantage"])
    assert "a-secret" not in str(add_locations(caught.value, loaded, "advantage"))
