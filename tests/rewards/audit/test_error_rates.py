import asyncio

import numpy as np
import pytest

from rewards.audit.error_rates import Counts, ErrorRates, rates
from rewards.types import Verdict
from tests.support.builders import problem


def test_rates_by_hand():
    # 80 wrong, 20 of them checked, 5 overturned: 80 / 4 = 20 are right in truth
    # 120 correct, 12 checked, 3 overturned: 120 / 4 = 30 are wrong in truth
    wrong = Counts(seen=80, checked=20, overturned=5)
    correct = Counts(seen=120, checked=12, overturned=3)
    found = rates(wrong, correct)
    assert found["verifier/false_negative"] == pytest.approx(20 / (90 + 20))
    assert found["verifier/false_positive"] == pytest.approx(30 / (60 + 30))


def test_what_was_repaired_is_no_longer_wrong():
    found = rates(Counts(seen=80, checked=20, overturned=5, repaired=5), Counts(seen=120))
    # the correct ones were not checked: all 120 are right; 20 - 5 false negatives are left
    assert found["verifier/false_negative"] == pytest.approx(15 / 140)
    assert "verifier/false_positive" not in found


def test_the_interval_by_hand():
    # Wilson for 5 of 20: (0.11186, 0.46870); all correct ones taken for right
    found = rates(Counts(seen=80, checked=20, overturned=5), Counts(seen=120))
    low, high = 80 * 0.111862, 80 * 0.468701
    assert found["verifier/false_negative_low"] == pytest.approx(low / (120 + low), abs=1e-5)
    assert found["verifier/false_negative_high"] == pytest.approx(high / (120 + high), abs=1e-5)


def test_without_a_check_there_is_no_rate():
    assert rates(Counts(seen=80), Counts(seen=120)) == {}


@pytest.mark.parametrize("wrong", [Counts(seen=4, checked=4), Counts(seen=4, checked=1)])
def test_a_first_verifier_that_is_never_wrong(wrong):
    found = rates(wrong, Counts())
    assert found["verifier/false_negative"] == found["verifier/false_negative_low"] == 0


def verdict(components):
    return Verdict.scored(0.0, correct=False, components=components)


def watch(rates_, *all_verdicts):
    async def every():
        for components in all_verdicts:
            await rates_.see(problem(), "x", verdict(components))

    asyncio.run(every())
    return rates_.metrics()


DOUBLE_CHECKED = {"first_correct": 0.0, "overturned": 1.0, "repaired": 0.0}


def test_it_finds_the_checks_at_any_depth_of_the_verifier():
    nested = {f"answer/{name}": value for name, value in DOUBLE_CHECKED.items()}
    found = watch(ErrorRates(), nested, {"answer/first_correct": 1.0}, {"style": 1.0})
    assert found["verifier/double_checks"] == 1
    assert found["verifier/false_negative"] == 0.5  # one found, one correct one taken for right


def test_older_verdicts_weigh_less():
    rates_ = ErrorRates(decay=0.5)
    watch(rates_, *[{"first_correct": 1.0}] * 4)
    found = watch(rates_, DOUBLE_CHECKED)
    assert found["verifier/false_negative"] == pytest.approx(1 / 3)  # 1 against 4 / 2


def test_nothing_seen_says_nothing():
    assert watch(ErrorRates()) == {}


def test_its_memory_survives_a_checkpoint():
    before, after = ErrorRates(), ErrorRates()
    watch(before, DOUBLE_CHECKED, {"first_correct": 1.0})
    after.load_state_dict(before.state_dict())
    assert watch(before, DOUBLE_CHECKED) == watch(after, DOUBLE_CHECKED)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        truth = rng.random(2000) < 0.5
        passed = np.where(truth, rng.random(2000) > 0.2, rng.random(2000) < 0.1)
        wrong, correct = (
            Counts(seen=len(kind), checked=int(drawn.sum()), overturned=int((kind & drawn).sum()))
            for kind, drawn in (
                (truth[~passed], rng.random((~passed).sum()) < 0.2),
                (~truth[passed], rng.random(passed.sum()) < 0.2),
            )
        )
        found = rates(wrong, correct)
        actual = (truth & ~passed).sum() / truth.sum()
        held += (
            found["verifier/false_negative_low"] <= actual <= found["verifier/false_negative_high"]
        )
    assert held >= 380  # at least 95%: the ends are those of both shares at once
