import json

import pytest

from recipes.errors import RecipeError
from rollout.samplers.curriculum import curriculum
from tests.support.builders import group, problem

EXAMPLES = [
    {"column": "level"},
    {"column": "level", "order": ["2", "1"], "window": 2, "threshold": 0.3, "review": 0.3},
]
LEVELS = {"a": 10, "b": 9, "c": 10, "d": 9, "e": 100}


def made(levels=LEVELS, **options):
    asked = [problem(name, columns={"level": level}) for name, level in levels.items()]
    return curriculum(asked, 0, column="level", **{"window": 2, "review": 0.0, **options})


def solve(drawing, n, rewards=(1, 1)):
    """Draw `n` problems, all with the same outcome -> their names, sorted."""
    problems = drawing.next(n)
    drawing.observe([group(rewards, of=p) for p in problems])
    return "".join(sorted(p.id for p in problems))


def test_numbers_are_stages_in_rising_order():
    drawing = made()
    assert [solve(drawing, 2), solve(drawing, 2), solve(drawing, 2)] == ["bd", "ac", "ee"]


def test_a_stage_lasts_until_it_is_learned():
    drawing = made(threshold=0.5)
    assert [solve(drawing, 2, [1, 0]) for _ in range(3)] == ["bd", "bd", "bd"]
    assert [solve(drawing, 2), solve(drawing, 2)] == ["bd", "ac"]


def test_words_are_stages_in_the_order_given():
    words = {"a": "hard", "b": "easy", "c": "medium"}
    drawing = made(words, order=("easy", "medium", "hard"), window=1)
    assert [solve(drawing, 1) for _ in range(3)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("levels", "options", "what"),
    [
        ({"a": "easy", "b": "hard"}, {}, "words, which have no order"),
        ({"a": "easy", "b": "odd"}, {"order": ("easy", "hard")}, "also holds odd"),
    ],
)
def test_values_without_an_order_are_refused(levels, options, what):
    with pytest.raises(RecipeError, match=what):
        made(levels, **options)


def test_a_problem_without_the_column_is_refused():
    with pytest.raises(RecipeError, match=r"1 of 2 problems have no column 'level'.*first is b"):
        curriculum([problem("a", columns={"level": 1}), problem("b")], 0, column="level")


def test_a_resumed_run_is_in_the_same_stage():
    drawing, resumed = made(), made()
    solve(drawing, 3)
    resumed.load_state_dict(json.loads(json.dumps(drawing.state_dict())))
    expected = [solve(drawing, 2) for _ in range(3)]
    assert [solve(resumed, 2) for _ in range(3)] == expected
    assert expected[-1] == "ee"
