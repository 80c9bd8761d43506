import dataclasses

import pytest

from recipes.errors import RecipeError
from rollout.filters import filter_
from rollout.filters.pass_rate_band import pass_rate_band
from rollout.types import Bucket, Drop, Keep
from tests.support.builders import group, sample

EXAMPLES = [{}, {"low": 0.2, "high": 0.8}, {"width": 0.5, "closed": "both"}]


def rated(correct, size):
    """A group of `size` samples, of which `correct` are right."""
    return group([1] * correct + [0] * (size - correct))


def kept(size, **options):
    """How many correct samples of `size` let a group through."""
    return [
        c for c in range(size + 1) if isinstance(pass_rate_band(rated(c, size), **options), Keep)
    ]


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (8, {"low": 0.2, "high": 0.8}, [2, 3, 4, 5, 6]),  # 0.25 to 0.75
        (8, {"width": 0.6}, [2, 3, 4, 5, 6]),  # the same band
        (4, {}, [1, 2, 3]),  # neither 0 nor 1
        (5, {"low": 0.2, "high": 0.8}, [2, 3]),  # 1/5 and 4/5 are the ends
        (5, {"low": 0.2, "high": 0.8, "closed": "low"}, [1, 2, 3]),
        (5, {"low": 0.2, "high": 0.8, "closed": "high"}, [2, 3, 4]),
        (5, {"width": 0.6, "closed": "both"}, [1, 2, 3, 4]),
        (4, {"low": 0.5, "high": 0.5, "closed": "both"}, [2]),
        (10, {"width": 0.8, "closed": "both"}, list(range(1, 10))),  # 0.5 - 0.8 / 2 is 0.1
        (4, {"low": 0.5}, [3]),  # skewed: only what is easy, but not solved
    ],
)
def test_the_band_in_samples(size, options, expected):
    assert kept(size, **options) == expected


def test_a_dropped_group_says_on_which_side_it_was():
    hard, easy = (pass_rate_band(rated(c, 8), low=0.2, high=0.8) for c in (1, 7))
    assert hard == Drop(reason="pass rate below the band", bucket=Bucket.FILTERED)
    assert easy == Drop(reason="pass rate above the band", bucket=Bucket.FILTERED)


def test_the_verdict_counts_and_not_the_reward():
    shaped = (sample(0.9, correct=False), sample(0.2, correct=False, index=1))
    decision = pass_rate_band(dataclasses.replace(group(), samples=shaped))
    assert isinstance(decision, Drop)


def test_missing_verdicts_are_not_wrong_answers():
    two_of_two = group([1, 1, 0, 0], missing=[2, 3])
    assert isinstance(pass_rate_band(two_of_two, low=0.2, high=0.8), Drop)
    assert isinstance(pass_rate_band(group([1, 0], missing=[0, 1])), Drop)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"low": 0.2, "width": 0.6}, "is one band"),
        ({"low": 0.8, "high": 0.2}, "no pass rate lies between"),
        ({"low": 0.5, "high": 0.5}, "no pass rate lies between"),
    ],
)
def test_bands_that_cannot_be_are_refused(options, what):
    with pytest.raises(RecipeError, match=what):
        filter_.bind({"name": "pass_rate_band", **options})


def test_a_band_of_one_pass_rate_is_a_band_where_both_ends_belong_to_it():
    assert filter_.bind({"name": "pass_rate_band", "low": 0.5, "high": 0.5, "closed": "both"})
