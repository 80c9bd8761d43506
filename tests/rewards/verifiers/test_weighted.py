import asyncio

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.verifiers import broken, judge, pays, raises


def test_each_component_counts_by_its_weight():
    verdict = judge(
        "weighted", components={"accuracy": pays(1), "format": pays(0.5)}, weights={"format": 0.2}
    )
    assert verdict.reward == pytest.approx(1.1)  # 1 * 1 + 0.2 * 0.5
    assert verdict.components == {"accuracy": 1, "format": 0.5}


def test_the_first_component_decides_unless_another_is_named():
    components = {"style": pays(1, answer="s"), "accuracy": pays(0, answer="a")}
    assert judge("weighted", components=components).correct
    named = judge("weighted", components=components, correct="accuracy")
    assert (named.correct, named.answer) == (False, "a")


def test_components_of_components_keep_the_path_to_them():
    inner = pays(1, components={"grammar": 0.25}, reason="good")
    verdict = judge("weighted", components={"style": inner, "length": pays(0, reason="long")})
    assert verdict.components == {"style": 1, "style/grammar": 0.25, "length": 0}
    assert verdict.reason == "style: good; length: long"


@pytest.mark.parametrize("component", [broken("deadline"), raises])
def test_a_missing_component_makes_the_verdict_missing(component):
    verdict = judge("weighted", components={"accuracy": pays(1), "style": component})
    assert verdict.is_missing
    assert verdict.reason.startswith("style: ")


def test_a_skipped_component_leaves_the_range_as_it_is():
    components = {"accuracy": pays(1), "style": broken(), "format": pays(0)}
    verdict = judge("weighted", components=components, weights={"style": 2}, missing="skip")
    assert verdict.reward == pytest.approx(2.0)  # (1 * 1 + 1 * 0) * 4 / 2
    assert verdict.components == {"accuracy": 1, "format": 0}


def test_the_component_that_decides_cannot_be_skipped():
    components = {"accuracy": broken("down"), "format": pays(1)}
    assert judge("weighted", components=components, missing="skip").is_missing


def test_nothing_left_to_weigh_is_missing():
    components = {"accuracy": pays(1), "style": broken()}
    assert judge(
        "weighted", components=components, weights={"accuracy": 0}, missing="skip"
    ).is_missing


def test_unknown_names_are_refused():
    entry = {
        "name": "weighted",
        "components": {"accuracy": "code_tests"},
        "weights": {"acuracy": 2.0},
        "correct": "style",
    }
    with pytest.raises(RecipeError) as caught:
        verifier.bind(entry)
    assert [(f.path, f.what) for f in caught.value.faults] == [
        ("weights", "there is no component called 'acuracy'"),
        ("correct", "there is no component called 'style'"),
    ]
    assert "did you mean 'accuracy'" in str(caught.value)


def test_faults_inside_a_component_name_their_path():
    with pytest.raises(RecipeError) as caught:
        verifier.bind(
            {"name": "weighted", "components": {"code": {"name": "code_tests", "levl": 1}}}
        )
    assert caught.value.faults[0].path == "components.code.levl"


def test_it_needs_a_component():
    with pytest.raises(RecipeError):
        verifier.bind({"name": "weighted", "components": {}})


def test_components_are_entries_of_a_recipe():
    style = {
        "name": "gated",
        "components": {"any": {"name": "format", "pattern": "."}, "short": SHORT},
    }
    entry = {"name": "weighted", "components": {"answer": "exact", "style": {**style, **GATES}}}
    function = function_of(verifier.bind(entry))
    verdict = asyncio.run(function(problem(answer="42"), "42"))
    assert (verdict.reward, verdict.correct) == (3.0, True)
    own = {"answer": 1, "style": 2, "style/any": 1, "style/short": 1, "style/gates_open": 1}
    assert verdict.components.items() >= own.items()


SHORT = {"name": "format", "pattern": "^..$"}
GATES = {"gates": {"any": 1.0}}
