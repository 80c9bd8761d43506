"""The part of a set of numbers that varies most."""

from __future__ import annotations

import torch


def max_variance_subset(values: torch.Tensor, names: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` of `values` [N] whose variance is largest -> [N] bool.

    It is the k largest and the `count - k` smallest for some k, so one sort and one scan find it.
    Ties go by `names` [N], and among equal variances to the fewest largest: another order of the
    same values gives the same subset.
    """
    size = len(values)
    by_name = names.argsort()
    order = by_name[values.double()[by_name].argsort(descending=True, stable=True)]
    ranked = torch.cat([torch.zeros(1, dtype=torch.float64), values.double()[order]])
    sums, squares = ranked.cumsum(0), (ranked**2).cumsum(0)
    top = torch.arange(count + 1)  # so many of the largest, the others of the smallest
    tail = size - (count - top)
    total = sums[top] + sums[-1] - sums[tail]
    total_square = squares[top] + squares[-1] - squares[tail]
    variance = total_square / count - (total / count) ** 2
    best = int(variance.argmax())
    keep = torch.zeros(size, dtype=torch.bool)
    keep[order[:best]] = True
    keep[order[size - (count - best) :]] = True
    return keep
