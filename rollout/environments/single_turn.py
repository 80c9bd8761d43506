"""One prompt, one reply."""

from collections.abc import Sequence

import numpy as np

from rewards.calling import judge_group
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
    """Draws `n` replies to the problem's prompt and verifies them as one group.

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
    texts = {
        index: context.renderer.text(completion.token_ids.tolist())
        for index, completion in enumerate(completions)
        if completion.finish is not Finish.ABORT
    }
    verdicts = await judge_group(context.verify, problem, list(texts.values()))
    judged = dict(zip(texts, verdicts, strict=True))
    given_up = Verdict.missing("the engine gave up on this completion")
    return [
        _sample(prompt_ids, completion, judged.get(index, given_up), index)
        for index, completion in enumerate(completions)
    ]


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
