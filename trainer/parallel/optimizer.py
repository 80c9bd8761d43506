"""The optimizer's parameter groups, and fp32 master weights for bf16 models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.recipe.sections import OptimizerSpec

CRITIC = "critic"  # marks the parameter groups that move at the critic's rate


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """Which settings move which parameters of one module."""

    layers: OptimizerSpec
    value_head: OptimizerSpec | None = None  # of a critic that shares the layers

    @property
    def max_grad_norm(self) -> float:
        """Of the whole module: a shared value head is clipped with the layers."""
        return self.layers.max_grad_norm

    def build(
        self, named: Mapping[str, nn.Parameter], rank: Callable[[Tensor], int] = Tensor.dim
    ) -> torch.optim.AdamW:
        """AdamW over the parameters; the rates are set anew before every step.

        named: parameters by their names in the module
        rank: says how many dimensions a parameter has: matrices decay, vectors do not
        """
        heads = [name for name in named if name.startswith("value_head.")]
        groups = _groups(self.layers, [p for n, p in named.items() if n not in heads], rank)
        if heads:
            assert self.value_head is not None, "a value head without settings"
            of_head = _groups(self.value_head, [named[name] for name in heads], rank)
            groups += [{**group, CRITIC: True} for group in of_head]
        return torch.optim.AdamW(groups, lr=0.0, fused=True)


def _groups(
    spec: OptimizerSpec, parameters: Iterable[nn.Parameter], rank: Callable[[Tensor], int]
) -> list[dict[str, object]]:
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in parameters:
        (matrices if rank(parameter) > 1 else vectors).append(parameter)
    first, second = spec.betas
    settings = {"betas": (first, second), "eps": spec.eps}
    groups = [
        {"params": matrices, "weight_decay": spec.weight_decay, **settings},
        {"params": vectors, "weight_decay": 0.0, **settings},
    ]
    return [group for group in groups if group["params"]]


def set_rates(optimizer: torch.optim.Optimizer, lr: float | None, critic_lr: float) -> None:
    """The step's learning rates, each to its groups; without `lr` the layers rest."""
    for group in optimizer.param_groups:
        group["lr"] = critic_lr if CRITIC in group else lr or 0.0


def reset_idle_steps(optimizer: torch.optim.Optimizer) -> None:
    """Forget the steps of what has only rested: AdamW corrects for a start that is yet to come."""
    for state in optimizer.state.values():
        if not state["exp_avg"].any():
            state["step"].zero_()


class MasterWeights:
    """What the optimizer moves: the parameters themselves, or fp32 copies of narrow ones.

    A step of 1e-6 is lost in a bf16 weight, and a sum of many small gradients in a bf16 gradient;
    so both are kept in fp32. A narrow parameter's gradient moves to its copy as soon as it is
    there.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        narrow = [p for p in parameters if p.dtype != torch.float32]
        self.narrow = {p: nn.Parameter(p.detach().clone().float()) for p in narrow}
        self.all = [self.narrow.get(p, p) for p in parameters]
        for parameter in self.narrow:
            hook = self._widen
            parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def _widen(self, parameter: Tensor) -> None:
        gradient, copy = parameter.grad, self.narrow[parameter]  # type: ignore[index]
        assert gradient is not None, "the hook runs after a gradient was accumulated"
        if copy.grad is None:
            copy.grad = gradient.to(copy.dtype)
        else:
            copy.grad += gradient
        parameter.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """The copies' values, rounded, into the model."""
        for parameter, copy in self.narrow.items():
            parameter.copy_(copy)
