import asyncio
from pathlib import Path

import pytest

from rewards.audit.batch_dependence import batch_trials
from rewards.audit.probes import Expect, Probe
from rewards.audit.verifier_bench import BenchReport, Bounds
from rewards.verifiers import verifier
from tests.support.builders import problem

STRANGERS = Path(__file__).parents[2] / "support" / "strangers.py"
STRICT = Bounds(max_changed=0.0)
TWO = problem("two", answer="22")
RESPONSES = {"gold": "22", "bare": "2", "other": "333"}


def trials(entry):
    probes = [
        Probe(kind=kind, name=kind, problem=TWO, response=text, expect=Expect.ANYTHING)
        for kind, text in RESPONSES.items()
    ]
    return asyncio.run(batch_trials(verifier.bind(entry), probes))


def plug_in(*names, **options):
    functions = [f"{STRANGERS}:{name}" for name in names]
    return {"name": "plugin", "function": functions, "workers": 1, **options}


def rewards(found):
    """Alone, together, reordered, of each response."""
    return [(t.alone.reward, t.together.reward, t.reordered.reward) for t in found]


def broken(found):
    return BenchReport(trials=[], batches=found).broken(STRICT)


def test_a_verifier_of_the_response_alone_has_one_verdict():
    found = trials("exact")
    assert [t.response for t in found] == ["22", "2", "333", "22"]
    assert not any(t.depends_on_batch or t.depends_on_order for t in found)
    assert broken(found) == []


@pytest.mark.slow
def test_a_function_that_compares_has_another_reward_in_a_group_which_is_no_fault():
    found = trials(plug_in("agreement"))
    # of 22, 2, 333, 22: the share that is equal to it
    assert rewards(found) == [(1, 0.5, 0.5), (1, 0.25, 0.25), (1, 0.25, 0.25), (1, 0.5, 0.5)]
    assert all(t.compares and t.depends_on_batch and not t.depends_on_order for t in found)
    assert broken(found) == []


@pytest.mark.slow
def test_a_function_that_follows_the_order_of_the_group_is_a_fault():
    found = trials(plug_in("first_of_each"))
    assert rewards(found) == [(1, 1, 0), (1, 1, 1), (1, 1, 1), (1, 0, 1)]
    assert [t.is_fault for t in found] == [True, False, False, True]
    [line] = broken(found)
    assert line.startswith("share whose verdict depends on other responses or their order: 0.5,")


@pytest.mark.slow
def test_a_function_that_keeps_what_it_saw_is_a_fault():
    found = trials(plug_in("against_the_longest"))
    # alone the longest so far are 2, 2, 3 and 3 characters; together 3
    moved = [(t.response, t.alone.reward, t.together.reward) for t in found if t.is_fault]
    assert moved == [("22", 1.0, pytest.approx(2 / 3)), ("2", 0.5, pytest.approx(1 / 3))]
    assert len(broken(found)) == 1


@pytest.mark.slow
def test_each_function_inside_a_verifier_is_tried_by_its_name():
    entry = {
        "name": "weighted",
        "components": {
            "right": "exact",
            "both": plug_in("equal", "agreement", correct="equal"),
        },
    }
    found = trials(entry)
    assert list(dict.fromkeys(t.function for t in found)) == ["exact", "equal", "agreement"]
    assert {t.function for t in found if t.depends_on_batch} == {"agreement"}


@pytest.mark.slow
def test_a_function_with_two_rewards_in_two_calls_is_left_to_the_other_check():
    assert trials(plug_in("Counting")) == []
