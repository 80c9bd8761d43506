"""The optimizer's settings, its parameter groups, and fp32 master weights for bf16 models."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recipes.schedules import number
from recipes.spec import Spec


class OptimizerSpec(Spec):
    """AdamW. Norms, biases and other vectors are never decayed."""

    name: Literal["adamw"] = "adamw"
    lr: Annotated[
        number.field,  # type: ignore[name-defined]
        Field(description="learning rate; may be a schedule"),
    ]
    betas: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]],
        Field(min_length=2, max_length=2, description="decay of the two moving averages"),
    ] = [0.9, 0.99]
    eps: Annotated[float, Field(gt=0, description="added to the root of the second moment")] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, description="per step, times the rate")] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, description="the gradient is scaled to this")] = 1.0

    def groups(
        self, parameters: Iterable[nn.Parameter], rank: Callable[[Tensor], int] = Tensor.dim
    ) -> list[dict[str, Any]]:
        """Matrices with weight decay, vectors without; `rank` says how many dimensions one has."""
        matrices: list[nn.Parameter] = []
        vectors: list[nn.Parameter] = []
        for parameter in parameters:
            (matrices if rank(parameter) > 1 else vectors).append(parameter)
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.AdamW:
        """AdamW over the groups; the rate is set anew before every step."""
        first, second = self.betas
        return torch.optim.AdamW(groups, lr=0.0, betas=(first, second), eps=self.eps, fused=True)


class Masters:
    """What the optimizer moves: the parameters themselves, or fp32 copies of narrow ones.

    A step of 1e-6 is lost in a bf16 weight, and a sum of many small gradients in a bf16 gradient;
    so both are kept in fp32. A narrow parameter's gradient moves to its copy as soon as it is
    there.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.narrow = {p: _wide_copy(p) for p in parameters if p.dtype != torch.float32}
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


def _wide_copy(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().clone().float())
