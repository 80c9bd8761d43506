"""One prompt, one reply."""

import asyncio
from collections.abc import Sequence

import numpy as np

from rewards.types import Problem, Verdict
from rollout.environments import RolloutContext, environment
from rollout.types import Completion, EngineError, Finish, Sample, Sampling, Status

_NOTHING = Completion(  # what a failed request leaves of each of its samples
    token_ids=np.zeros(0, dtype=np.int32),
    logprobs=np.zeros(0, dtype=np.float32),
    policy_version=np.zeros(0, dtype=np.int32),
    finish=Finish.ABORT,
)
_STATUS = {
    Finish.STOP: Status.COMPLETED,
    Finish.LENGTH: Status.TRUNCATED_TOKENS,
    Finish.ABORT: Status.ERROR_ENGINE,
}


@environment.register()
async def single_turn(
    problem: Problem, context: RolloutContext, sampling: Sampling, n: int
) -> list[Sample]:
    """Draws `n` replies to the problem's prompt and verifies each of them.

    A reply that hit the token limit is TRUNCATED_TOKENS and is judged as it stands. A failed
    request gives `n` samples, and an aborted reply one, with status ERROR_ENGINE and a missing
    verdict; the other samples are not affected.
    """
    prompt_ids = context.renderer.prompt_ids(problem.messages)
    try:
        completions = await context.engine.generate(prompt_ids, sampling, n)
    except EngineError as error:
        verdict = Verdict.missing(f"{type(error).__name__}: {error}")
        return [_sample(prompt_ids, _NOTHING, verdict, index) for index in range(n)]
    judged = await asyncio.gather(*(_judge(problem, context, c) for c in completions))
    return [
        _sample(prompt_ids, completion, verdict, index)
        for index, (completion, verdict) in enumerate(zip(completions, judged, strict=True))
    ]


async def _judge(problem: Problem, context: RolloutContext, completion: Completion) -> Verdict:
    if completion.finish is Finish.ABORT:
        return Verdict.missing("the engine gave up on this completion")
    return await context.verify(problem, context.renderer.text(completion.token_ids.tolist()))


def _sample(
    prompt_ids: Sequence[int], completion: Completion, verdict: Verdict, index: int
) -> Sample:
    prompt = np.asarray(prompt_ids, dtype=np.int32)
    blank = len(prompt)
    length = blank + len(completion.token_ids)
    return Sample(
        token_ids=np.concatenate([prompt, completion.token_ids]).astype(np.int32),
        action_mask=np.arange(length) >= blank,
        behavior_logprobs=np.concatenate([np.zeros(blank), completion.logprobs]).astype(np.float32),
        policy_version=np.concatenate([np.full(blank, -1), completion.policy_version]).astype(
            np.int32
        ),
        turn_ids=np.zeros(length, dtype=np.int32),
        role="policy",
        verdict=verdict,
        answer=verdict.answer,
        status=_STATUS[completion.finish],
        index=index,
    )
