import asyncio

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.verifiers import broken, judge, pays, raises


def test_each_part_counts_by_its_weight():
    verdict = judge(
        "weighted", parts={"accuracy": pays(1), "format": pays(0.5)}, weights={"format": 0.2}
    )
    assert verdict.reward == pytest.approx(1.1)  # 1 * 1 + 0.2 * 0.5
    assert verdict.parts == {"accuracy": 1, "format": 0.5}


def test_the_first_part_decides_unless_another_is_named():
    parts = {"style": pays(1, answer="s"), "accuracy": pays(0, answer="a")}
    assert judge("weighted", parts=parts).correct
    named = judge("weighted", parts=parts, correct="accuracy")
    assert (named.correct, named.answer) == (False, "a")


def test_parts_of_parts_keep_the_path_to_them():
    inner = pays(1, parts={"grammar": 0.25}, reason="good")
    verdict = judge("weighted", parts={"style": inner, "length": pays(0, reason="long")})
    assert verdict.parts == {"style": 1, "style/grammar": 0.25, "length": 0}
    assert verdict.reason == "style: good; length: long"


@pytest.mark.parametrize("part", [broken("deadline"), raises])
def test_a_missing_part_makes_the_verdict_missing(part):
    verdict = judge("weighted", parts={"accuracy": pays(1), "style": part})
    assert verdict.is_missing
    assert verdict.reason.startswith("style: ")


def test_a_skipped_part_leaves_the_range_as_it_is():
    parts = {"accuracy": pays(1), "style": broken(), "format": pays(0)}
    verdict = judge("weighted", parts=parts, weights={"style": 2}, missing="skip")
    assert verdict.reward == pytest.approx(2.0)  # (1 * 1 + 1 * 0) * 4 / 2
    assert verdict.parts == {"accuracy": 1, "format": 0}


def test_the_part_that_decides_cannot_be_skipped():
    parts = {"accuracy": broken("down"), "format": pays(1)}
    assert judge("weighted", parts=parts, missing="skip").is_missing


def test_nothing_left_to_weigh_is_missing():
    parts = {"accuracy": pays(1), "style": broken()}
    assert judge("weighted", parts=parts, weights={"accuracy": 0}, missing="skip").is_missing


def test_unknown_names_are_refused():
    entry = {
        "name": "weighted",
        "parts": {"accuracy": "code_tests"},
        "weights": {"acuracy": 2.0},
        "correct": "style",
    }
    with pytest.raises(RecipeError) as caught:
        verifier.bind(entry)
    assert [(f.path, f.what) for f in caught.value.faults] == [
        ("weights", "there is no part called 'acuracy'"),
        ("correct", "there is no part called 'style'"),
    ]
    assert "did you mean 'accuracy'" in str(caught.value)


def test_faults_inside_a_part_name_their_path():
    with pytest.raises(RecipeError) as caught:
        verifier.bind({"name": "weighted", "parts": {"code": {"name": "code_tests", "levl": 1}}})
    assert caught.value.faults[0].path == "parts.code.levl"


def test_it_needs_a_part():
    with pytest.raises(RecipeError):
        verifier.bind({"name": "weighted", "parts": {}})


def test_parts_are_entries_of_a_recipe():
    style = {"name": "gated", "parts": {"any": {"name": "format", "pattern": "."}, "short": SHORT}}
    entry = {"name": "weighted", "parts": {"answer": "exact", "style": {**style, **GATES}}}
    function = function_of(verifier.bind(entry))
    verdict = asyncio.run(function(problem(answer="42"), "42"))
    assert (verdict.reward, verdict.correct) == (3.0, True)
    own = {"answer": 1, "style": 2, "style/any": 1, "style/short": 1, "style/gates_open": 1}
    assert verdict.parts.items() >= own.items()


SHORT = {"name": "format", "pattern": "^..$"}
GATES = {"gates": {"any": 1.0}}
