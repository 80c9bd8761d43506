import asyncio
import math

import pytest

from rewards.audit.probes import Expect, Probe, given
from rewards.audit.verifier_bench import BenchReport, Bounds, Trial, run
from rewards.types import Verdict
from tests.support.builders import problem
from tests.support.verifiers import broken, raises

TWO = problem("two", answer="2")


def probe(response, expect=Expect.ANYTHING, kind="other", reward=None):
    return Probe(
        kind=kind, name=response, problem=TWO, response=response, expect=expect, reward=reward
    )


async def exact(asked, response):
    return Verdict.binary(response == asked.answer, reason=f"{response} against {asked.answer}")


async def lenient(asked, response):
    return Verdict.binary(response in ("2", "two"))


class Forgetful:
    """Another verdict each time."""

    def __init__(self):
        self.calls = 0

    async def __call__(self, asked, response):
        self.calls += 1
        return Verdict.binary(self.calls % 2 == 1)


def report(verifier, *asked, second=None):
    return BenchReport(trials=asyncio.run(run(verifier, asked, second=second)))


def test_a_verdict_is_compared_with_what_is_known():
    found = report(
        exact,
        probe("2", Expect.CORRECT, "gold"),
        probe("3", Expect.CORRECT, "gold"),
        probe("2", Expect.WRONG),
        probe("4", Expect.WRONG),
        probe("5"),
    )
    gold, other = found.kinds
    assert (gold.name, gold.count, gold.as_expected, gold.not_expected) == ("gold", 2, 1, 1)
    assert (other.name, other.count, other.as_expected, other.not_expected) == ("other", 3, 1, 1)
    assert [t.probe.response for t in found.gold_failures] == ["3"]
    assert [t.probe.response for t in found.accepted_wrong] == ["2"]


def test_a_missing_verdict_is_neither_right_nor_wrong():
    for verifier in (broken("down"), raises):
        found = report(verifier, probe("2", Expect.CORRECT, "gold"), probe("3", Expect.WRONG))
        assert [k.missing for k in found.kinds] == [1, 1]
        assert [k.as_expected + k.not_expected for k in found.kinds] == [0, 0]
        assert len(found.gold_failures) == 1
        assert not found.accepted_wrong


def test_two_calls_with_two_verdicts_are_found():
    assert report(Forgetful(), probe("2")).kinds[0].changed == 1
    assert report(exact, probe("2")).kinds[0].changed == 0


def test_agreement_with_a_second_verifier():
    found = report(exact, probe("2"), probe("two"), probe("3"), probe("4"), second=lenient)
    agreed = found.agreement
    # first 1 0 0 0, second 1 1 0 0: chance is 1/4 * 1/2 + 3/4 * 1/2 = 1/2
    assert (agreed.both, agreed.share, agreed.first_only, agreed.second_only) == (4, 0.75, 0, 1)
    assert agreed.kappa == pytest.approx(0.5)


def test_agreement_beyond_chance_is_undefined_when_all_are_equal():
    assert math.isnan(report(exact, probe("3"), second=lenient).agreement.kappa)
    assert report(exact, probe("3"), second=broken()).agreement is None
    assert report(exact, probe("3")).agreement is None


def test_only_broken_bounds_are_named_with_both_numbers():
    found = report(
        exact,
        probe("3", Expect.CORRECT, "gold"),
        probe("2", Expect.WRONG),
        probe("3", Expect.WRONG),
        second=lenient,
    )
    assert found.broken(Bounds()) == []
    assert found.broken(Bounds(max_gold_fail=1.0, max_false_accept=0.5, max_missing=0.0)) == []
    assert found.broken(Bounds(max_gold_fail=0.5, max_false_accept=0.1, min_agreement=1.0)) == [
        "share of gold answers that fail: 1, allowed at most 0.5",
        "share of wrong answers accepted: 0.5, allowed at most 0.1",
    ]


def timed(kind, seconds):
    verdict = Verdict.binary(False)
    asked = probe("x", kind=kind)
    return Trial(probe=asked, verdict=verdict, again=verdict, second=None, seconds=seconds)


def test_times_of_odd_answers_are_kept_apart():
    found = BenchReport(trials=[timed("gold", 0.25), timed("given", 0.75), timed("huge", 9.0)])
    assert found.seconds == pytest.approx({50: 0.5, 90: 0.7, 99: 0.745, 100: 0.75})
    assert [kind.slowest_s for kind in found.kinds] == [0.25, 0.75, 9.0]
    assert found.broken(Bounds(max_p99_s=0.5)) == [
        "99th percentile of a call, seconds: 0.745, allowed at most 0.5"
    ]


LINES = [
    ("f.jsonl:1", {"answer": 7, "response": "7", "expected": True}),
    ("f.jsonl:2", {"id": "two", "response": "2", "expected": 0.5}),
    ("f.jsonl:3", {"answer": "7", "response": "8", "rubric": "kind"}),
]


def test_lines_of_a_file_become_probes():
    first, second, third = given(LINES, [TWO])
    assert (first.problem.answer, first.expect, first.reward) == ("7", Expect.CORRECT, None)
    assert (second.problem, second.expect, second.reward) == (TWO, Expect.ANYTHING, 0.5)
    assert (third.expect, third.problem.columns) == (Expect.ANYTHING, {"rubric": "kind"})


def test_a_stated_reward_is_compared_as_a_number():
    found = report(exact, *given(LINES, [TWO]))
    assert [t.expected for t in found.trials] == [True, False, None]
    assert found.broken(Bounds(min_given=0.9)) == [
        "agreement with the given verdicts: 0.6667, allowed at least 0.9"
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"answer": "7"}, "f:9: no text under 'response'"),
        ({"response": "7"}, "f:9: neither an 'answer' nor the 'id' of a problem"),
        ({"response": "7", "id": "other"}, "f:9: neither an 'answer' nor the 'id'"),
        ({"response": "7", "answer": "7", "expected": "yes"}, "f:9: 'expected' is 'yes', not true"),
    ],
)
def test_a_broken_line_names_its_place(line, text):
    with pytest.raises(ValueError, match=text):
        given([("f:9", line)], [TWO])
