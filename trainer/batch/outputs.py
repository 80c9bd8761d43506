"""What the policy says of a microbatch, and what a loss says of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from trainer.metrics import AnyMetric


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutput:
    """One forward pass over T packed tokens; position t speaks of token t given its past."""

    logprobs: torch.Tensor  # [T] f32, nats, at the sampling temperature; 0 before the first action
    entropy: torch.Tensor  # [T] f32, nats, of the distribution token t was drawn from; 0 likewise
    values: torch.Tensor | None = None  # [T] f32, from a critic; only when some slot needs it
    value_logits: torch.Tensor | None = None  # [T, bins] f32, of a classification critic


@dataclass(frozen=True, kw_only=True, eq=False)
class LossOutput:
    """Per-token loss to be minimised, not reduced, with metrics that carry their counts."""

    values: torch.Tensor  # [T] f32
    metrics: Mapping[str, AnyMetric] = field(default_factory=dict)
