import asyncio

import numpy as np

from rewards.types import Verdict
from rollout.engines.scripted import Scripted, completion
from rollout.environments import RolloutContext
from rollout.environments.single_turn import single_turn
from rollout.types import EngineError, Finish, Sampling, Status
from tests.support.builders import CharacterRenderer, problem

PROBLEM = problem(prompt="ab", answer="x")


def codes(text):
    return [ord(c) for c in text]


def play(script, *, verify=None, n=2, max_tokens=8):
    async def is_answer(asked, response):
        return Verdict.binary(response == asked.answer, answer=response)

    context = RolloutContext(
        engine=Scripted(script), renderer=CharacterRenderer(), verify=verify or is_answer
    )
    return asyncio.run(single_turn(PROBLEM, context, Sampling(max_tokens=max_tokens), n))


def test_a_sample_is_the_prompt_and_the_reply_in_one_sequence():
    first, second = play(lambda prompt, i: completion(codes("xy"[i : i + 1]), logprob=-0.7))
    assert first.token_ids.tolist() == codes("abx")
    assert first.action_mask.tolist() == [False, False, True]
    assert np.allclose(first.behavior_logprobs, [0, 0, -0.7])
    assert first.policy_version.tolist() == [-1, -1, 0]
    assert first.turn_ids.tolist() == [0, 0, 0]
    assert (first.index, second.index) == (0, 1)
    assert first.status is Status.COMPLETED
    assert (first.verdict.reward, second.verdict.reward) == (1.0, 0.0)
    assert second.answer == "y"


def test_a_reply_at_the_limit_is_truncated_and_judged_as_it_stands():
    [cut] = play(lambda prompt, i: completion(codes("xxxx")), n=1, max_tokens=1)
    assert cut.status is Status.TRUNCATED_TOKENS
    assert cut.verdict.correct


def test_a_failed_request_is_missing_not_wrong():
    def script(prompt, i):
        raise EngineError("no room")

    for sample in play(script):
        assert sample.status is Status.ERROR_ENGINE
        assert sample.verdict.is_missing
        assert sample.verdict.reason == "EngineError: no room"
        assert sample.token_ids.tolist() == codes("ab")
        assert sample.num_actions == 0


def test_an_aborted_reply_does_not_touch_its_sibling():
    finish = [Finish.ABORT, Finish.STOP]
    aborted, whole = play(lambda prompt, i: completion(codes("x"), finish=finish[i]))
    assert aborted.status is Status.ERROR_ENGINE
    assert aborted.verdict.is_missing
    assert whole.verdict.correct


def test_the_group_is_judged_at_once():
    waiting = []

    async def verify(asked, response):
        waiting.append(response)
        while len(waiting) < 3:
            await asyncio.sleep(0)
        return Verdict.binary(True)

    assert len(play(lambda prompt, i: completion(codes("x")), verify=verify, n=3)) == 3
