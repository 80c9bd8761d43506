import asyncio

import pytest

from rewards.types import Verdict
from rollout.verification.shadow_verifiers import HeldOut, repetition
from tests.support.builders import problem
from tests.support.verifiers import broken, pays, raises


def watched(verifiers, share, *verdicts):
    watcher = HeldOut(verifiers, share)

    async def every():
        for i, verdict in enumerate(verdicts):
            await watcher.see(problem(), f"response {i}", verdict)

    asyncio.run(every())
    return watcher


def test_the_reward_is_compared_on_the_same_responses():
    verdicts = [Verdict.binary(True), Verdict.binary(True), Verdict.binary(False)]
    found = watched({"strict": pays(0), "loose": pays(1)}, 1.0, *verdicts).metrics()
    assert found["watch/reward"] == pytest.approx(2 / 3)
    assert (found["watch/strict"], found["watch/loose"]) == (0, 1)
    assert found["watch/strict_agreement"] == pytest.approx(1 / 3)
    assert found["watch/loose_agreement"] == pytest.approx(2 / 3)


def test_a_missing_verdict_counts_nowhere():
    found = watched({"strict": pays(1)}, 1.0, Verdict.missing("late")).metrics()
    assert found == {}
    found = watched({"a": broken(), "b": raises, "c": pays(1)}, 1.0, Verdict.binary(True)).metrics()
    assert set(found) == {"watch/reward", "watch/repetition", "watch/c", "watch/c_agreement"}


def test_a_share_is_asked_and_the_same_one_each_time():
    counts = []
    for _ in range(2):
        asked = []

        async def count(problem, response, asked=asked):
            asked.append(response)
            return Verdict.binary(True)

        watched({"strict": count}, 0.25, *[Verdict.binary(True)] * 200)
        counts.append(asked)
    assert counts[0] == counts[1]
    assert 30 < len(counts[0]) < 70  # 50 expected, standard deviation 6


def test_a_reading_starts_afresh():
    watcher = watched({}, 1.0, Verdict.binary(True))
    assert watcher.metrics() == {"watch/reward": 1, "watch/repetition": 0}
    assert watcher.metrics() == {}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0), ("a b c", 0), ("a b c d", 0), ("a b c d e f", 0),
        ("a a a a a a", 2 / 3),  # three phrases, all the same
        ("a b c d a b c d", 1 / 5),
    ],
)  # fmt: skip
def test_repetition_is_the_share_of_phrases_seen_before(text, share):
    assert repetition(text) == pytest.approx(share)
