from collections import Counter

import pytest

from recipes.errors import RecipeError
from rollout.samplers import sampler
from rollout.samplers.difficulty_band import difficulty_band
from tests.support.builders import group, problem

EXAMPLES = [{}, {"low": 0.0, "high": 0.5, "explore": 0.5}]
PROBLEMS = [problem(name) for name in ("solved", "half", "hopeless", "third", "new")]
OUTCOMES = {"solved": [1, 1, 1], "half": [1, 0], "hopeless": [0, 0], "third": [1, 0, 0]}


def made(**options):
    """A sampler that has seen four of the five problems."""
    drawing = difficulty_band(PROBLEMS, 0, **options)
    drawing.observe([group(r, of=problem(name)) for name, r in OUTCOMES.items()])
    return drawing


def test_most_draws_are_from_the_band_in_turn():
    drawn = Counter(p.id for p in made(explore=0.2).next(500))
    assert drawn["half"] == pytest.approx(200, abs=30)
    assert abs(drawn["half"] - drawn["third"]) <= 1
    outside = [drawn[name] for name in ("solved", "hopeless", "new")]
    assert max(outside) - min(outside) <= 1  # each in turn
    assert sum(outside) == pytest.approx(100, abs=30)


def test_outside_of_the_band_the_unseen_comes_first():
    drawing = difficulty_band([problem("solved"), problem("new")], 0)
    assert {p.id for p in drawing.next(2)} == {"solved", "new"}
    drawing = difficulty_band([problem("solved"), problem("new")], 0)
    while drawing.next(1)[0].id != "solved":
        pass
    drawing.observe([group([1, 1], of=problem("solved"))])
    assert drawing.next(1)[0].id == "new"


def test_a_problem_that_enters_the_band_is_preferred_from_then_on():
    drawing = made(explore=0.01, decay=0.0)
    assert "hopeless" not in [p.id for p in drawing.next(10)]
    drawing.observe([group([1, 0], of=problem("hopeless"))])
    assert [p.id for p in drawing.next(3)].count("hopeless") == 1  # one turn in three


def test_without_an_outside_every_draw_is_from_the_band():
    drawing = difficulty_band([problem("half")], 0)
    drawing.observe([group([1, 0], of=problem("half"))])
    assert [p.id for p in drawing.next(5)] == ["half"] * 5


def test_a_band_that_cannot_be_is_refused():
    with pytest.raises(RecipeError, match=r"no pass rate lies between 0\.8 and 0\.2"):
        sampler.bind({"name": "difficulty_band", "low": 0.8, "high": 0.2})


def test_a_band_of_one_pass_rate_is_a_band():
    bound = sampler.bind({"name": "difficulty_band", "low": 0.5, "high": 0.5})
    assert bound.options["low"] == bound.options["high"] == 0.5
