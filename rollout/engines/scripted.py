"""The shipped fake: replies come from a function, time from counted turns of the event loop."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from rollout.engines import engine
from rollout.generation import Engine, EngineContext, WeightSource
from rollout.types import Completion, EngineDied, Finish, Sampling

Script = Callable[[Sequence[int], int], Completion]


class Scripted:
    """An Engine that asks `script(prompt_ids, i)` for sample i and stamps the loaded version.

    script: may raise EngineError or EngineDied to play a failure
    turns: how many turns of the event loop a request takes, by its prompt; decides who ends first
    """

    def __init__(
        self, script: Script, *, turns: Callable[[Sequence[int]], int] = lambda prompt_ids: 0
    ) -> None:
        self._script = script
        self._turns = turns
        self._version = 0
        self._closed = False

    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """`n` scripted completions, cut at `sampling.max_tokens`."""
        if self._closed:
            raise EngineDied("the scripted engine is closed")
        version = self._version  # of the start: a slow request brings back old tokens
        for _ in range(self._turns(prompt_ids)):
            await asyncio.sleep(0)
        completions: list[Completion] = []
        for i in range(n):
            whole = self._script(prompt_ids, i)
            length = min(len(whole.token_ids), sampling.max_tokens)
            cut = dataclasses.replace(
                whole,
                token_ids=whole.token_ids[:length],
                logprobs=whole.logprobs[:length],
                policy_version=np.full(length, version, dtype=np.int32),
                finish=whole.finish if length == len(whole.token_ids) else Finish.LENGTH,
            )
            completions.append(cut)
        return completions

    async def load_weights(self, weights: WeightSource, version: int) -> None:
        """Takes the version; there are no weights."""
        self._version = version

    async def close(self) -> None:
        self._closed = True


def completion(
    token_ids: Sequence[int], *, logprob: float = -1.0, finish: Finish = Finish.STOP
) -> Completion:
    """A completion for a script; every token has the same log-probability."""
    length = len(token_ids)
    return Completion(
        token_ids=np.array(token_ids, dtype=np.int32),
        logprobs=np.full(length, logprob, dtype=np.float32),
        policy_version=np.zeros(length, dtype=np.int32),
        finish=finish,
    )


@engine.register(tags=("trainer_arithmetic",))
def scripted(
    context: EngineContext,
    *,
    replies: Annotated[
        list[str],
        Field(min_length=1, description="Replies in order, repeated from the start when used up"),
    ],
) -> Engine:
    """Fixed replies instead of a model, for trying a recipe's data, verifier and filters.

    Needs only the tokenizer of the model folder. Its log-probs are made up: a run with it must
    turn the probe off.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(context.folder)
    ids = [tokenizer(reply, add_special_tokens=False)["input_ids"] for reply in replies]
    end = list(context.stop_ids[:1])
    return Scripted(lambda prompt_ids, i: completion([*ids[i % len(ids)], *end]))
