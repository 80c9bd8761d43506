"""The task's own scorer of reasoning-gym decides."""

from typing import Annotated, Literal

from pydantic import Field

from recipes.slots.spec import Seconds
from rewards.answers.extract import after_reasoning, extract
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from rewards.workers.pool import shared

_JOBS = "rewards.workers.jobs"


@verifier.register()
async def reasoning_gym(
    problem: Problem,
    response: str,
    *,
    threshold: Annotated[
        float, Field(gt=0, le=1, description="Score from which an answer counts as correct")
    ] = 1.0,
    where: Annotated[
        Literal["tag_or_whole", "tag", "boxed", "whole", "anywhere"],
        Field(
            description="Place of the answer in the response; whole: all text after the reasoning"
        ),
    ] = "tag_or_whole",
    deadline_s: Annotated[
        Seconds, Field(gt=0, description="Time limit of one verdict in seconds, without the queue")
    ] = 5.0,
) -> Verdict:
    """The score in [0, 1] that the task gives the answer, for problems of the reasoning_gym source.

    The only verifier for tasks with many right answers, whose rows have no gold answer. Needs the
    columns `reasoning_gym_task` and `entry`; without them the verdict is missing. No answer scores
    0 without asking the task, since some tasks give a little for anything.
    https://github.com/open-thought/reasoning-gym

    Returns a verdict whose reward is the task's score.
    """
    task, entry = problem.columns.get("reasoning_gym_task"), problem.columns.get("entry")
    if not isinstance(task, str) or entry is None:
        return Verdict.missing("the columns reasoning_gym_task and entry are not there")
    if where == "anywhere":
        answer = extract(response).answer
    elif where == "boxed":
        answer = extract(response, ("boxed",)).answer
    else:
        tagged = extract(response, ("tag",))
        in_tags = where == "tag" or (where == "tag_or_whole" and tagged.place == "tag")
        answer = tagged.answer if in_tags else after_reasoning(response).strip()
    if not answer:
        return Verdict.binary(False, reason=f"{where}: no answer found")
    outcome = await shared().call(
        f"{_JOBS}:gym_score", task, entry, answer,
        deadline_s=deadline_s, prepare=f"{_JOBS}:gym_import",
    )  # fmt: skip
    if outcome.failed:
        return Verdict.missing(f"reasoning_gym: {outcome.reason}")
    score = float(outcome.value)
    if not 0.0 <= score <= 1.0:
        return Verdict.missing(f"reasoning_gym: {task} scored {score}, not in [0, 1]")
    reason = f"{task} scored {score:g}"
    return Verdict.scored(score, correct=score >= threshold, reason=reason, answer=answer[:2000])
