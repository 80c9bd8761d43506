import json

import pytest

from recipes.errors import RecipeError
from rollout.data.pairs import FactorSpec, Pair, PairsSpec, load_pairs, preferred, read_pairs

PASSED = FactorSpec(column="passed")
SHORT = FactorSpec(column="words", better="lower")


def write(tmp_path, *rows):
    """Each row: (text, passed, words) of its responses."""
    file = tmp_path / "scored.jsonl"
    keys = ("text", "passed", "words")
    lines = [
        {"prompt": f"q{n}", "responses": [dict(zip(keys, r, strict=True)) for r in row]}
        for n, row in enumerate(rows)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


def decided(path, *factors):
    """(chosen, rejected) of every pair, or None."""
    found = read_pairs(PairsSpec(path=path, factors=list(factors)))
    return [pair and (pair.chosen, pair.rejected) for pair in found]


ROW = [("a", 3, 90), ("b", 3, 40), ("c", 1, 10)]


def test_the_first_factor_that_differs_decides(tmp_path):
    # a and b pass equally, b is shorter; c is the shortest and passes least
    path = write(tmp_path, ROW)
    assert decided(path, PASSED, SHORT) == [("b", "a"), ("a", "c"), ("b", "c")]
    assert decided(path, SHORT, PASSED) == [("b", "a"), ("c", "a"), ("c", "b")]


def test_what_no_factor_decides_is_no_pair(tmp_path):
    assert decided(write(tmp_path, ROW), PASSED) == [None, ("a", "c"), ("b", "c")]


def test_a_factors_scale_does_not_matter(tmp_path):
    factors = [PASSED.model_copy(update={"margin": 0.5}), SHORT]
    scaled = [(text, 100 * passed, words) for text, passed, words in ROW]
    assert decided(write(tmp_path, scaled), *factors) == decided(write(tmp_path, ROW), *factors)


def test_a_margin_is_a_share_of_the_standard_deviation(tmp_path):
    # passed 3, 3, 1: mean 7/3, variance 8/9, sd 0.943; the gap of 2 is 2.12 of them
    path = write(tmp_path, ROW)
    below, above = (FactorSpec(column="passed", margin=m) for m in (2.1, 2.2))
    assert decided(path, below, SHORT)[1] == ("a", "c")
    assert decided(path, above, SHORT)[1] == ("c", "a")  # too close, so the shorter one


def test_with_margins_the_order_is_not_transitive():
    # first factor 0, 1, 2 with margin 1.5; second factor 0, 1, 2 the other way round
    a, b, c = ("a", (0.0, 2.0)), ("b", (1.0, 1.0)), ("c", (2.0, 0.0))
    margins = [1.5, 0.0]
    assert preferred(a, b, margins) == preferred(b, c, margins) == 1
    assert preferred(a, c, margins) == -1


@pytest.mark.parametrize("value", [None, "3", float("nan")])
def test_a_response_without_a_factor_is_in_no_pair(tmp_path, value):
    assert decided(write(tmp_path, [*ROW[1:], ("d", value, 5)]), PASSED) == [("b", "c")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"prompt": "q", "responses": []}, "expected a list of responses"),
        ({"prompt": "q", "responses": ["a"]}, "response 0 is 'a'"),
        ({"prompt": "", "responses": [{"text": "a", "passed": 1}]}, "holds ''"),
        ({"prompt": "q", "answers": []}, "no column 'responses'"),
    ],
)
def test_a_broken_row_is_refused(tmp_path, line, words):
    file = tmp_path / "scored.jsonl"
    file.write_text(json.dumps(line))
    with pytest.raises(RecipeError, match=words):
        decided(str(file), PASSED)


def test_pairs_are_split_and_the_undecided_counted(tmp_path):
    path = write(tmp_path, *[ROW] * 8)
    pairs = load_pairs(PairsSpec(path=path, factors=[PASSED], held_out=0.25))
    assert (len(pairs.train), len(pairs.held_out), pairs.equal) == (12, 4, 8)
    assert all(isinstance(pair, Pair) for pair in pairs.train)
