"""A number as a distribution over bins, and back: what a classifying critic is trained on.

Bins split [low, high] evenly; a distribution stands for the mean of the bins' centres.
"""

from __future__ import annotations

import math

import torch


def bin_centres(low: float, high: float, bins: int) -> torch.Tensor:
    """The middle of each bin -> [bins]."""
    width = (high - low) / bins
    return low + width * (torch.arange(bins) + 0.5)


def hl_gauss(
    targets: torch.Tensor, low: float, high: float, bins: int, sigma: float
) -> torch.Tensor:
    """Mass of a Gaussian around each target in each bin, cut to the range -> [N, bins].

    targets: [N] inside [low, high]
    sigma: standard deviation in bin widths
    """
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64, device=targets.device)
    scale = sigma * (high - low) / bins * math.sqrt(2)
    cumulative = torch.erf((edges - targets.double()[:, None]) / scale)
    mass = cumulative.diff(dim=1) / (cumulative[:, -1:] - cumulative[:, :1])
    return mass.float()


def two_hot(targets: torch.Tensor, low: float, high: float, bins: int) -> torch.Tensor:
    """Each target split between the two nearest centres, so that their mean is it -> [N, bins].

    targets: [N]; beyond the first and the last centre all mass is on that bin
    """
    place = ((targets - low) / (high - low) * bins - 0.5).clamp(0, bins - 1)
    below = place.floor().long().clamp(max=max(bins - 2, 0))
    share = (place - below)[:, None]
    mass = targets.new_zeros(len(targets), bins)
    mass = mass.scatter(1, below[:, None], 1 - share)
    return mass.scatter_add(1, (below + 1).clamp(max=bins - 1)[:, None], share)
