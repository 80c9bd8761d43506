"""The runner around a verifier, its circuit breaker, and verifiers that only observe."""

import asyncio
import json

import pytest

from rewards.http.usage import meters
from rewards.types import Verdict
from rollout.verification import (
    BreakerTripped,
    CircuitBreaker,
    MissingVerdicts,
    ShadowVerifiers,
    VerifierRunner,
    repetition,
)
from tests.support.builders import problem
from tests.support.verifiers import broken, pays, raises


def ask(scorer, *, response="x"):
    return asyncio.run(scorer.verify(problem(), response))


async def right(asked, response):
    return Verdict.binary(True)


async def no_verdict(asked, response):
    return 1.0


def test_a_verdict_is_handed_on():
    assert ask(VerifierRunner(right)).reward == 1.0


@pytest.mark.parametrize(
    ("verifier", "reason"),
    [
        (raises, "KeyError: 'solution'"),
        (no_verdict, "the verifier returned float, no Verdict"),
        (pays(float("nan")), "the reward is nan"),
        (pays(float("-inf")), "the reward is -inf"),
    ],
)
def test_what_a_verifier_breaks_is_missing_never_zero(verifier, reason):
    verdict = ask(VerifierRunner(verifier))
    assert verdict.is_missing
    assert verdict.reason == reason


def test_metrics_count_calls_since_the_last_reading():
    async def reads(asked, response):
        return Verdict.binary(True) if response else Verdict.missing("nothing to read")

    scorer = VerifierRunner(reads)
    for response in ("a", "", "b", "c"):
        ask(scorer, response=response)
    metrics = scorer.metrics()
    assert metrics["verifier/calls"] == 4
    assert metrics["verifier/missing_frac"] == 0.25
    assert metrics["verifier/seconds"] >= 0
    assert scorer.metrics() == {}
    ask(scorer, response="d")
    assert scorer.metrics()["verifier/missing_frac"] == 0


def test_a_cancelled_verification_stays_cancelled():
    async def waits(asked, response):
        await asyncio.sleep(3600)

    async def run():
        task = asyncio.create_task(VerifierRunner(waits).verify(problem(), "x"))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def record(breaker, word):
    """m: missing, v: a verdict."""
    for letter in word:
        verdict = Verdict.missing("too slow") if letter == "m" else Verdict.binary(False)
        breaker.record(verdict)
    return breaker


@pytest.mark.parametrize(
    ("word", "tripped"),
    [
        ("mmm", False),  # fewer than 4 verdicts
        ("mmvv", False),  # 2 of 4 is not above one half
        ("mmmv", True),
        ("mmmvvv", False),
        ("vvvvvvmmmmm", True),  # 5 of the last 8
        ("mmmmmmmmvvvvvvvv", False),  # the window has moved on
    ],
)
def test_a_breaker_looks_at_the_last_verdicts(word, tripped):
    breaker = record(CircuitBreaker(0.5, window=8, min_count=4), word)
    assert breaker.is_tripped == tripped


def test_a_breaker_goes_on_from_what_it_had_seen():
    before = record(CircuitBreaker(0.5, window=8, min_count=4), "mmm")
    after = CircuitBreaker(0.5, window=8, min_count=4)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert not after.is_tripped
    assert record(after, "m").is_tripped
    with pytest.raises(BreakerTripped, match="4x too slow"):
        after.check()
    smaller = CircuitBreaker(0.5, window=2)
    smaller.load_state_dict(record(before, "v").state_dict())
    assert smaller.error_rate == 0.5  # m and v, the newest


def test_the_breaker_is_part_of_the_scorers_state():
    before = VerifierRunner(raises, breaker=CircuitBreaker(0.5, window=4))
    ask(before)
    after = VerifierRunner(raises, breaker=CircuitBreaker(0.5, window=4))
    after.load_state_dict(before.state_dict())
    assert after.breaker.error_rate == 1.0


def test_a_tripped_breaker_names_rate_and_reason():
    breaker = record(CircuitBreaker(0.5, window=8, min_count=4), "mmmv")
    with pytest.raises(BreakerTripped, match=r"3 of the last 4 .*75%, allowed 50%.*3x too slow"):
        breaker.check()
    record(CircuitBreaker(0.5, window=8, min_count=4), "vvvv").check()


def test_the_scorer_feeds_its_breaker():
    breaker = CircuitBreaker(0.5, window=4, min_count=2)
    scorer = VerifierRunner(raises, breaker=breaker)
    ask(scorer)
    breaker.check()
    ask(scorer)
    with pytest.raises(BreakerTripped, match="solution"):
        breaker.check()


def test_what_verifiers_count_themselves_is_read_with_the_calls():
    scorer = VerifierRunner(right)
    meters.read()
    meters.add("judge/tokens_in", 7)
    assert scorer.metrics() == {}  # no call, nothing to report yet
    ask(scorer)
    assert scorer.metrics()["judge/tokens_in"] == 7
    ask(scorer)
    assert "judge/tokens_in" not in scorer.metrics()


class Remembers:
    """A watcher that keeps what it was shown."""

    def __init__(self):
        self.seen = []

    async def see(self, asked, response, verdict):
        self.seen.append((asked.id, response, verdict.reward))

    def metrics(self):
        return {"watch/seen": float(len(self.seen))}

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def test_watchers_see_every_verdict_and_add_their_numbers():
    watcher = Remembers()
    scorer = VerifierRunner(right, watchers={"memory": watcher})
    ask(scorer, response="a")
    ask(scorer, response="b")
    assert watcher.seen == [("p0", "a", 1.0), ("p0", "b", 1.0)]
    assert scorer.metrics()["watch/seen"] == 2.0


def test_what_watchers_remember_survives_a_checkpoint():
    before, after = Remembers(), Remembers()
    ask(VerifierRunner(right, watchers={"memory": before}))
    saved = VerifierRunner(right, watchers={"memory": before, "other": Remembers()}).state_dict()
    VerifierRunner(right, watchers={"memory": after, "new": Remembers()}).load_state_dict(saved)
    assert after.seen == before.seen


@pytest.mark.parametrize("verifier", [right, raises])
def test_every_verdict_says_what_gave_it(verifier):
    assert ask(VerifierRunner(verifier, provenance="4f2a")).verifier == "4f2a"


# -- verifiers that only observe -------------------------------------------------------------------


def watched(verifiers, share, *verdicts):
    watcher = ShadowVerifiers(verifiers, share)

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


def test_each_kind_of_missing_verdict_is_told_once_and_all_are_in_the_file(tmp_path, capsys):
    async def unreliable(asked, response):
        if response == "fine":
            return Verdict.binary(True)
        return Verdict.missing(f"mine.py:7: raised ValueError: no digit in {response}")

    file = tmp_path / "run" / "missing.jsonl"
    scorer = VerifierRunner(unreliable, watchers={"missing": MissingVerdicts(file)})
    for response in ("fine", "12", "34", "\ud800"):
        ask(scorer, response=response)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2  # 12 and 34 are of one kind
    assert told[0].startswith(f"verifier: no verdict for problem {problem().id}: mine.py:7: raised")
    assert str(file) in told[0]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["response"] for line in lines] == ["12", "34", "\ud800"]
    assert lines[0]["problem"] == problem().id and "no digit in 12" in lines[0]["reason"]
