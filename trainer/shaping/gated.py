"""Step rewards count only where the outcome passed a gate (G-RA)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.components import component
from trainer.shaping import shaping


@shaping.register(renamed={"parts": "components"}, paper="https://arxiv.org/abs/2508.10548")
def gated(
    batch: TokenBatch,
    *,
    components: Annotated[
        list[str], Field(min_length=1, description="Components to add as step rewards")
    ],
    gate: Annotated[
        Scheduled, Field(description="Smallest outcome reward that opens the gate")
    ] = 0.5,
    strict: Annotated[
        bool, Field(description="Whether the outcome must exceed the gate, not only reach it")
    ] = False,
    gate_penalties: Annotated[
        bool,
        Field(description="Whether negative step rewards behind a closed gate are dropped too"),
    ] = False,
) -> torch.Tensor:
    """The outcome reward, plus the named components where the outcome reaches the gate.

    Added without a gate, easy step rewards are farmed and the outcome falls. Sun et al. 2025 (G-RA,
    two levels). The sample's reward must be the outcome alone, and the components' sum should stay
    below the distance to the next better outcome. Departures: penalties are not gated by default,
    or failing early would hide them; the published gate is not known. Confidence: mechanism from
    secondary sources.
    A sample without a component gets nothing for it.
    Returns rewards [S], reward units.
    """
    is_open = batch.rewards > gate if strict else batch.rewards >= gate
    total = batch.rewards
    for name in components:
        value = component(batch, name)
        hidden = value.isnan() | (~is_open & (gate_penalties | (value > 0)))
        total = total + torch.where(hidden, 0.0, value)
    return total
