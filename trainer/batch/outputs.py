"""What the policy says of a microbatch, and what a loss says of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from trainer.metrics import AnyMetric


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutput:
    """One forward pass over T packed tokens; position t speaks of token t given its past."""

    logprobs: Tensor  # [T] f32, nats, at the sampling temperature; 0 before the first action
    entropy: Tensor  # [T] f32, nats, of the distribution token t was drawn from; 0 likewise
    values: Tensor | None = None  # [T] f32, from a critic; only when some slot needs it
    value_logits: Tensor | None = None  # [T, bins] f32, of a classification critic


@dataclass(frozen=True, kw_only=True, eq=False)
class LossOutput:
    """Per-token loss to be minimised, not reduced, with metrics that carry their counts."""

    values: Tensor  # [T] f32
    metrics: Mapping[str, AnyMetric] = field(default_factory=dict)
