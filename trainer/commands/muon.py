"""Muon for the matrices, AdamW for the rest: what makes the tiny cold start short."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimizers as one: `torch.optim.Muon` on hidden matrices, AdamW on everything else.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. Embeddings, norms and biases are
    AdamW's, as the author recommends.
    """

    def __init__(self, model: nn.Module, *, muon_lr: float, adamw_lr: float) -> None:
        embeddings = {
            id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
        }
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in embeddings]
        chosen = {id(p) for p in matrices}
        others = [p for p in trained if id(p) not in chosen]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=muon_lr, weight_decay=0.0),
            torch.optim.AdamW(others, lr=adamw_lr, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        super().__init__([{"params": trained}], {"lr": adamw_lr})
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        # loading a state dict, which accelerate does, makes new groups: the parts take those
        self.parts[0].param_groups = self.param_groups[:1]
        self.parts[1].param_groups = self.param_groups[1:]
        for part in self.parts:
            part.step()
        return closure() if closure is not None else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)
