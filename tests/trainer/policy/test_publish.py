import asyncio

import numpy as np
import pytest
import torch

from rollout.types import Completion, Finish
from trainer.policy.publish import ProbeFailed, Publisher
from trainer.recipe.monitoring import ProbeSpec


class Echo:
    """An engine that says log-prob -1 for every token of the version it was given."""

    def __init__(self):
        self.version = -1

    async def generate(self, prompt_ids, sampling, n):
        ids = np.array([7, 8], dtype=np.int32)
        return [
            Completion(
                token_ids=ids,
                logprobs=np.full(2, -1.0, dtype=np.float32),
                policy_version=np.full(2, self.version, dtype=np.int32),
                finish=Finish.STOP,
            )
        ] * n

    async def load_weights(self, weights, version):
        self.version = version

    async def close(self):
        pass


class Trainer:
    """A policy whose log-prob of every token is `logprob`."""

    is_main = True

    def __init__(self, logprob):
        self.logprob = logprob

    def weights(self):
        return object()

    def annotate(self, batch, needs, temperature):
        return batch.replace(old_logprobs=torch.full((batch.num_tokens,), self.logprob))

    def broadcast(self, value):
        return value


def publish(logprob, **spec):
    engine = Echo()
    publisher = Publisher(Trainer(logprob), engine, [(5, 6), (5,)], ProbeSpec(**spec))
    return engine, asyncio.run(publisher(4, 1.0))


def test_the_engine_is_given_the_version_and_the_gap_is_a_metric():
    engine, metrics = publish(-1.01)
    assert engine.version == 4
    assert metrics["probe/gap_mean"].value == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize("logprob", [-1.2, -0.8, float("nan")])
def test_a_gap_above_the_bound_ends_the_run_with_its_cause(logprob):
    with pytest.raises(ProbeFailed, match=r"version 4.*does not sample from the trainer's weights"):
        publish(logprob)


def test_without_prompts_nothing_is_probed():
    assert publish(-9.0, prompts=0)[1] == {}


def test_a_gap_of_exactly_the_bound_is_allowed():
    metrics = publish(-1.5, max_gap=0.5)[1]  # the engine's log-prob is -1
    assert metrics["probe/gap_max"].value == 0.5
