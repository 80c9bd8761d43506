"""Every environment: n samples whose arrays agree, and failures that stay data."""

import asyncio

import numpy as np
import pytest

from recipes.slots.registry import function_of
from rewards.types import Verdict
from rollout.engines.scripted import Scripted, completion
from rollout.environments import RolloutContext, environment
from rollout.types import EngineDied, EngineError, Sampling, Status
from tests.contracts.registered import entries
from tests.support.builders import CharacterRenderer, problem

pytestmark = pytest.mark.parametrize("entry", entries(environment))


async def judge(asked, response):
    return Verdict.binary(response == asked.answer, answer=response)


def play(entry, script, *, n=3, verify=judge):
    bound = environment.bind(entry)
    context = RolloutContext(engine=Scripted(script), renderer=CharacterRenderer(), verify=verify)
    sampling = Sampling(max_tokens=6, seed=1)
    return asyncio.run(function_of(bound)(problem(answer="2"), context, sampling, n))


def says(word):
    return lambda prompt_ids, i: completion([ord(c) for c in word], logprob=-0.25)


@pytest.mark.parametrize("word", ["2", "", "2222222222"])
def test_samples_are_whole_and_numbered(entry, word):
    samples = play(entry, says(word))
    assert [s.index for s in samples] == [0, 1, 2]
    for sample in samples:
        length = len(sample.token_ids)
        assert length == len(sample.action_mask) == len(sample.behavior_logprobs)
        assert length == len(sample.policy_version) == len(sample.turn_ids)
        assert sample.token_ids.dtype == sample.policy_version.dtype == np.int32
        assert sample.turn_ids.dtype == np.int32
        assert sample.behavior_logprobs.dtype == np.float32
        assert sample.action_mask.dtype == np.bool_
        off = ~sample.action_mask
        assert (sample.behavior_logprobs[off] == 0).all()
        assert (sample.policy_version[off] == -1).all()
        assert (sample.policy_version[sample.action_mask] == 0).all()
        assert (np.diff(sample.turn_ids) >= 0).all()
        assert sample.turn_ids[0] == 0


def test_tokens_the_policy_sampled_are_the_ones_marked(entry):
    samples = play(entry, says("2"))
    assert samples
    for sample in samples:
        sampled = sample.token_ids[sample.action_mask]
        assert set(sampled.tolist()) == {ord("2")}
        assert np.allclose(sample.behavior_logprobs[sample.action_mask], -0.25)


def test_a_failed_request_becomes_a_status(entry):
    def fails(prompt_ids, i):
        raise EngineError("no room")

    samples = play(entry, fails)
    assert [s.index for s in samples] == [0, 1, 2]
    assert all(s.status is Status.ERROR_ENGINE and s.verdict.is_missing for s in samples)


def test_a_dead_engine_is_raised(entry):
    def dies(prompt_ids, i):
        raise EngineDied("gone")

    with pytest.raises(EngineDied):
        play(entry, dies)


def test_a_missing_verdict_stays_missing(entry):
    async def cannot_tell(asked, response):
        return Verdict.missing("no judge")

    assert all(s.verdict.is_missing for s in play(entry, says("2"), verify=cannot_tell))
