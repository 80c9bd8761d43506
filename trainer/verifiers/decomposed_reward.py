"""A reward model taken apart, and weighted by what one user prefers."""

import functools
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import HashFiles, Signed, Temperature
from rewards.types import Problem, Verdict
from rollout.data.pairs import PairColumns, PairsSpec, read_pairs
from trainer.reward_models.decomposition import Decomposition, Taste, fit_taste, read_decomposition
from trainer.reward_models.host import LocalModelSpec, Unscored, reward_host
from trainer.verifiers import verifier

_COLUMNS = PairColumns()


def _open(
    *,
    local: LocalModelSpec,
    preferences: str,
    columns: PairColumns,
    temperature: float,
    **_: object,
) -> None:
    _taste(local, preferences, columns, temperature)


@verifier.register(tags=("model",), on_run_start=_open, paper="https://arxiv.org/abs/2502.13131")
async def decomposed_reward(
    problem: Problem,
    response: str,
    *,
    local: Annotated[
        LocalModelSpec, Field(description="Reward model trained with `heads` above 0")
    ],
    preferences: Annotated[
        str,
        HashFiles(),
        Field(min_length=1, description="File of the user's comparisons; 5 to 15 are enough"),
    ],
    columns: Annotated[PairColumns, Field(description="Columns of that file")] = _COLUMNS,
    temperature: Annotated[
        Temperature,
        Field(
            gt=0,
            description="Temperature of the softmax over heads; low values use the best head alone",
        ),
    ] = 1.0,
    threshold: Annotated[
        Signed, Field(description="Reward above which the response counts as correct")
    ] = 0.0,
) -> Verdict:
    """Heads of a decomposed reward model, weighted by how well each orders a user's comparisons.

    `reward_model` gives everybody's average taste; this one is adapted to a few comparisons without
    training. Luo et al. 2025, https://arxiv.org/abs/2502.13131 (DRM). Departure: heads are
    standardised over the user's comparisons, once, also for responses that come later. A single
    comparison tells only the sign of each head.

    Returns a verdict whose reward has no unit (a weighted mean of standardised heads), with the
    reward model's own output as component `output`.
    """
    decomposition, taste = _taste(local, preferences, columns, temperature)
    try:
        scored = await reward_host(local).score(problem.messages, response, embed=True)
    except Unscored as error:
        return Verdict.missing(f"decomposed_reward: {error}", too_long=error.too_long)
    assert scored.embedding is not None, "asked for"
    reward = float(taste.rewards(decomposition.scores(scored.embedding[None]))[0])
    return Verdict.scored(
        reward,
        correct=reward > threshold,
        reason=f"output {scored.reward:.4g}",
        components={"output": scored.reward},
    )


@functools.cache
def _taste(
    local: LocalModelSpec, preferences: str, columns: PairColumns, temperature: float
) -> tuple[Decomposition, Taste]:
    """Read and weighted once a process. Raises RecipeError."""
    decomposition = read_decomposition(Path(local.path))
    found = read_pairs(PairsSpec(path=preferences, columns=columns))
    pairs = [pair for pair in found if pair is not None]
    host = reward_host(local)
    asked = [(p.prompt, p.chosen) for p in pairs] + [(p.prompt, p.rejected) for p in pairs]
    try:
        scored = host.score_all(asked, embed=True)
    except Unscored as error:
        raise RecipeError.of(
            f"a comparison cannot be scored: {error}",
            path="preferences",
            fix="leave it out of the file",
        ) from None
    embeddings = torch.stack([s.embedding for s in scored if s.embedding is not None])
    chosen, rejected = decomposition.scores(embeddings).chunk(2)
    return decomposition, fit_taste(chosen, rejected, temperature)
