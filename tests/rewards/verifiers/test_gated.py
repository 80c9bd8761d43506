import pytest

from recipes.errors import RecipeError
from rewards.verifiers import verifier
from tests.support.verifiers import broken, judge, pays

ASKED: list[str] = []


def counting(name, reward):
    async def count(problem, response):
        ASKED.append(name)
        return await pays(reward)(problem, response)

    return count


@pytest.mark.parametrize(
    ("tests", "reward", "opened"),
    [(1.0, 1.75, 1.0), (0.5, 1.25, 1.0), (0.4, 0.4, 0.0)],
)
def test_a_component_counts_once_the_gate_is_reached(tests, reward, opened):
    verdict = judge(
        "gated",
        components={"tests": pays(tests), "style": pays(0.75)},
        gates={"tests": 0.5},
    )
    assert verdict.reward == pytest.approx(reward)
    assert verdict.components == {"tests": tests, "style": 0.75, "gates_open": opened}


def test_a_strict_gate_opens_above_its_reward():
    components = {"tests": pays(0.5), "style": pays(1)}
    assert judge("gated", components=components, gates={"tests": 0.5}, strict=True).reward == 0.5


def test_every_gate_on_the_way_must_be_open():
    components = {"builds": pays(1), "tests": pays(0), "style": pays(1)}
    verdict = judge(
        "gated", components=components, gates={"builds": 1, "tests": 1}, weights={"style": 4}
    )
    assert verdict.reward == 1
    assert verdict.components["gates_open"] == 0.5


def test_a_later_gate_does_not_open_what_an_earlier_one_closed():
    components = {"builds": pays(0), "tests": pays(1), "style": pays(1)}
    assert judge("gated", components=components, gates={"builds": 1, "tests": 1}).reward == 0


def test_a_penalty_is_not_hidden_by_failing_early():
    components = {"tests": pays(0), "style": pays(-0.25)}
    assert judge("gated", components=components, gates={"tests": 1}).reward == -0.25
    assert (
        judge("gated", components=components, gates={"tests": 1}, gate_penalties=True).reward == 0
    )


@pytest.mark.parametrize(("hide", "asked"), [(True, ["tests"]), (False, ["tests", "style"])])
def test_what_cannot_count_is_not_asked(hide, asked):
    ASKED.clear()
    judge(
        "gated",
        components={"tests": counting("tests", 0), "style": counting("style", 1)},
        gates={"tests": 1},
        gate_penalties=hide,
    )
    assert asked == ASKED


def test_behind_a_closed_gate_the_component_that_decides_is_not_correct():
    components = {"format": pays(0), "accuracy": pays(1)}
    verdict = judge(
        "gated", components=components, gates={"format": 1}, correct="accuracy", gate_penalties=True
    )
    assert not verdict.correct and not verdict.is_missing


def test_a_missing_component_that_was_asked_makes_the_verdict_missing():
    assert judge("gated", components={"a": broken(), "b": pays(1)}, gates={"a": 1}).is_missing
    assert judge("gated", components={"a": pays(1), "b": broken()}, gates={"a": 1}).is_missing
    closed = {"a": pays(0), "b": broken()}
    assert not judge("gated", components=closed, gates={"a": 1}, gate_penalties=True).is_missing


@pytest.mark.parametrize("gates", [{"tets": 1.0}, {"style": 1.0}, {}])
def test_gates_must_guard_something(gates):
    components = {"tests": "exact", "style": "code_tests"}
    with pytest.raises(RecipeError):
        verifier.bind({"name": "gated", "components": components, "gates": gates})
