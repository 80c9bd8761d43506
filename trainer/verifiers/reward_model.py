"""A trained reward model scores the response."""

import time
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Amount, Signed
from rewards.http.chat import pooled_score
from rewards.http.endpoint import EndpointFailed, EndpointSpec
from rewards.http.usage import meters
from rewards.types import Problem, Verdict
from trainer.reward_models.conversation import conversation
from trainer.reward_models.host import LocalModelSpec, Unscored, reward_host
from trainer.verifiers import verifier

_METER = "reward_model"


def _one_place(*, local: LocalModelSpec | None, endpoint: EndpointSpec | None, **_: object) -> None:
    if (local is None) == (endpoint is None):
        raise RecipeError.of(
            "a reward model is either in this process or behind an address, exactly one of them",
            path="local" if local is None else "endpoint",
            fix="set local: {path: ...}, or endpoint: {url: ..., model: ...}",
        )


def _open(*, local: LocalModelSpec | None, endpoint: EndpointSpec | None, **_: object) -> None:
    if local is not None:
        reward_host(local)
    if endpoint is not None:
        endpoint.refuse_without_key()


@verifier.register(tags=("model",), validate=_one_place, on_run_start=_open)
async def reward_model(
    problem: Problem,
    response: str,
    *,
    local: Annotated[
        LocalModelSpec | None, Field(description="Model loaded into this process")
    ] = None,
    endpoint: Annotated[
        EndpointSpec | None, Field(description="Address of a vLLM pooling server, without /v1")
    ] = None,
    route: Annotated[
        Literal["classify", "pooling"], Field(description="Route of the server; `local` ignores it")
    ] = "classify",
    mean: Annotated[
        Signed, Field(description="Mean that is subtracted from the model's output")
    ] = 0.0,
    std: Annotated[
        Amount, Field(gt=0, description="Standard deviation by which the centred output is divided")
    ] = 1.0,
    threshold: Annotated[
        Signed, Field(description="Reward above which the response counts as correct")
    ] = 0.0,
) -> Verdict:
    """The output of a sequence classifier with one label for task and response, normalised.

    `judge` asks a chat model in words; this one reads one number, for a model trained on
    preferences (`temper reward`). In this process, concurrent responses share forward passes;
    behind an address, vLLM batches them. The conversation goes through the model's own chat
    template, with what looks like a control token in the response broken up. The raw output is
    used, without the sigmoid that a server applies by default. A conversation that is too long,
    a deadline or a server that fails gives a missing verdict.

    Returns a verdict with reward (output - mean) / std and the raw output as component `output`.
    """
    start = time.perf_counter()
    try:
        if local is not None:
            output = (await reward_host(local).score(problem.messages, response)).reward
        else:
            assert endpoint is not None, "checked when the recipe is read"
            messages = conversation(problem.messages, response)
            output = await pooled_score(endpoint, route, messages, meter=_METER)
    except (Unscored, EndpointFailed) as error:
        return Verdict.missing(f"reward_model: {error}", too_long=error.too_long)
    meters.observe(f"{_METER}/seconds", time.perf_counter() - start)
    reward = (output - mean) / std
    return Verdict.scored(
        reward,
        correct=reward > threshold,
        reason=f"output {output:.4g}",
        components={"output": output},
    )
