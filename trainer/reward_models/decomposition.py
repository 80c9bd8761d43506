"""One scalar reward taken apart into directions of preference (DRM), and put together for a user.

    z_i = phi(x_i, chosen) - phi(x_i, rejected)        phi: what the reward head reads, [d]
    C   = cov(z) = W Lambda W^T                        the k leading columns of W, both signs
    r_j = w_j . phi;   weights = softmax(-l / T)       l_j: how badly head j orders a user's pairs

Luo et al. 2025, https://arxiv.org/abs/2502.13131. The mean of z is removed before the directions
are found, while scores use phi as it is. Signs of directions are arbitrary, so both are heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.errors import RecipeError

FILE = "decomposition.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decomposition:
    """Directions of preference, by falling variance."""

    directions: torch.Tensor  # [k, d] float32, orthonormal rows
    variances: torch.Tensor  # [k] float32

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """[N, 2k]: what each head gives [N, d]; heads j and j + k have opposite signs."""
        found = embeddings @ self.directions.T
        return torch.cat([found, -found], dim=-1)

    def write(self, folder: Path) -> None:
        """Beside the reward model."""
        from safetensors.torch import save_file

        tensors = {"directions": self.directions.contiguous(), "variances": self.variances}
        save_file(tensors, folder / FILE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taste:
    """One user's weights over standardised heads."""

    weights: torch.Tensor  # [2k], sum 1
    means: torch.Tensor  # [2k] of the heads over the user's responses
    stds: torch.Tensor  # [2k]

    def rewards(self, scores: torch.Tensor) -> torch.Tensor:
        """[N] from the heads' [N, 2k]."""
        return (scores - self.means) / self.stds @ self.weights


def read_decomposition(folder: Path) -> Decomposition:
    """The directions beside a reward model. Raises RecipeError."""
    from safetensors.torch import load_file

    if not (folder / FILE).is_file():
        raise RecipeError.of(
            f"{folder} has no {FILE}",
            path="local.path",
            fix="train the reward model with `heads` above 0",
        )
    found = load_file(folder / FILE)
    return Decomposition(directions=found["directions"], variances=found["variances"])


def decompose(chosen: torch.Tensor, rejected: torch.Tensor, heads: int) -> Decomposition:
    """The `heads` leading principal directions of the differences, [N, d] each.

    There are at most min(N - 1, d) of them; directions without variance are dropped.
    """
    differences = (chosen - rejected).double()
    centred = differences - differences.mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    variances = singular**2 / max(len(centred) - 1, 1)
    real = int((singular > singular.max() * 1e-6).sum()) if len(singular) else 0
    kept = min(heads, real, max(len(centred) - 1, 0))
    if not kept:
        raise RecipeError.of(
            f"{len(centred)} pairs have the same features on both sides",
            path="heads",
            fix="use more pairs, or leave heads out",
        )
    return Decomposition(
        directions=directions[:kept].float().contiguous(), variances=variances[:kept].float()
    )


def fit_taste(chosen: torch.Tensor, rejected: torch.Tensor, temperature: float) -> Taste:
    """Weights of heads from a user's comparisons, given the heads' scores [m, 2k] of both sides.

    Each head is standardised over the user's 2m responses (ddof 1; a constant head stays as it
    is), its loss summed over the pairs, and the weights are softmax(-loss / temperature).
    """
    both = torch.cat([chosen, rejected])
    means, stds = both.mean(dim=0), both.std(dim=0)
    stds = torch.where(stds > 0, stds, torch.ones_like(stds))
    losses = -torch.nn.functional.logsigmoid((chosen - rejected) / stds).sum(dim=0)
    return Taste(weights=torch.softmax(-losses / temperature, dim=0), means=means, stds=stds)
