"""Metrics that carry their count, so that microbatches and ranks cannot skew them.

metrics = Metrics({"loss/clip_high_frac": Mean.over(hit, mask)})
metrics += other          # merges by kind
metrics.numbers()         # {"loss/clip_high_frac": 0.031}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

import torch


class Metric(Protocol):
    """A number that can be merged with another of its kind."""

    def merge(self, other: Self) -> Self: ...
    @property
    def value(self) -> float: ...
    def pack(self) -> tuple[float, float]:
        """Two numbers that travel between ranks; `unpack` of the kind reads them back."""
        ...


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean as total and count; the mean of nothing is NaN, and is not logged."""

    total: float
    count: float

    @classmethod
    def over(cls, values: torch.Tensor, mask: torch.Tensor | None = None) -> Mean:
        """Mean of `values` where `mask` is True, of all of them without a mask."""
        chosen = values.detach()
        chosen = chosen if mask is None else chosen[mask]
        return cls(float(chosen.double().sum()), float(chosen.numel()))

    def merge(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else float("nan")

    def pack(self) -> tuple[float, float]:
        return self.total, self.count


@dataclass(frozen=True, slots=True)
class Sum:
    """A total."""

    total: float

    def merge(self, other: Sum) -> Sum:
        return Sum(self.total + other.total)

    @property
    def value(self) -> float:
        return self.total

    def pack(self) -> tuple[float, float]:
        return self.total, 0.0


@dataclass(frozen=True, slots=True)
class Max:
    """The largest seen."""

    peak: float

    @classmethod
    def over(cls, values: torch.Tensor, mask: torch.Tensor | None = None) -> Max:
        chosen = values.detach() if mask is None else values.detach()[mask]
        return cls(float(chosen.max()) if chosen.numel() else float("-inf"))

    def merge(self, other: Max) -> Max:
        return Max(max(self.peak, other.peak))

    @property
    def value(self) -> float:
        return self.peak if self.peak != float("-inf") else float("nan")

    def pack(self) -> tuple[float, float]:
        return self.peak, 0.0


@dataclass(frozen=True, slots=True)
class Min:
    """The smallest seen."""

    floor: float

    @classmethod
    def over(cls, values: torch.Tensor, mask: torch.Tensor | None = None) -> Min:
        chosen = values.detach() if mask is None else values.detach()[mask]
        return cls(float(chosen.min()) if chosen.numel() else float("inf"))

    def merge(self, other: Min) -> Min:
        return Min(min(self.floor, other.floor))

    @property
    def value(self) -> float:
        return self.floor if self.floor != float("inf") else float("nan")

    def pack(self) -> tuple[float, float]:
        return self.floor, 0.0


AnyMetric: TypeAlias = Mean | Sum | Max | Min


class Metrics(Mapping[str, AnyMetric]):
    """Named metrics that merge with `+`; every name is `area/quantity`."""

    def __init__(self, values: Mapping[str, AnyMetric] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> AnyMetric:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __add__(self, other: Mapping[str, AnyMetric]) -> Metrics:
        merged = dict(self._values)
        for name, metric in other.items():
            known = merged.get(name)
            if known is None:
                merged[name] = metric
                continue
            assert type(known) is type(metric), f"metric {name} is {known!r} and {metric!r}"
            merged[name] = known.merge(metric)  # type: ignore[arg-type]
        return Metrics(merged)

    def numbers(self) -> dict[str, float]:
        """Name to value, sorted by name, without those that are the mean or extreme of nothing."""
        values = {name: metric.value for name, metric in sorted(self._values.items())}
        return {name: value for name, value in values.items() if value == value}


def describe_masked(name: str, values: torch.Tensor, mask: torch.Tensor) -> dict[str, AnyMetric]:
    """Mean, smallest and largest over the mask, as `name`, `name_min` and `name_max`."""
    if not torch.any(mask):
        return {}
    return {
        name: Mean.over(values, mask),
        f"{name}_min": Min.over(values, mask),
        f"{name}_max": Max.over(values, mask),
    }
