"""Tiny policies for tests, on the models of `tests.support.models`.

model_folder(tmp_path)                         a model folder with tokenizer
policy(folder, lora=LoraSpec(rank=2))          a policy on it; keywords go to the spec they name
update(policy, batch)                          one step on a policy loss and an entropy bonus
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from tests.support.models import tiny_model
from trainer.batch import TokenBatch
from trainer.metrics import Metrics
from trainer.models.tiny import make_tokenizer
from trainer.policy.policy import Policy
from trainer.policy.weights import collected
from trainer.recipe.sections import CriticSpec, ModelSpec, OptimizerSpec, ShardingSpec

LEARNING_RATE = 0.01
CRITIC_RATE = 0.03
EPS = 0.1  # far above the gradients, so that AdamW's step is smooth in them


def model_folder(folder: Path, arch: str = "qwen3", *, tied: bool = True, **changes) -> Path:
    """A tiny random model with a tokenizer of characters."""
    tiny_model(folder, arch, tied=tied, **changes)
    make_tokenizer("0123456789+=", 128).save_pretrained(folder)
    return folder


def policy(
    folder: Path,
    *,
    critic: CriticSpec | None = None,
    fixed: Mapping[str, ModelSpec] | None = None,
    zero: int = 0,
    offload: str = "none",
    needs: frozenset[str] = frozenset(),
    max_tokens: int = 40,
    adapters: Path | None = None,
    weight_decay: float = 0.1,
    max_grad_norm: float = 1.0,
    timeout_s: float = 60.0,
    **model,
) -> Policy:
    return Policy(
        ModelSpec(path=str(folder), context_length=128, **model),
        OptimizerSpec(
            lr=LEARNING_RATE, eps=EPS, weight_decay=weight_decay, max_grad_norm=max_grad_norm
        ),
        ShardingSpec(zero=zero, offload=offload, timeout_s=timeout_s),
        critic=critic,
        fixed=fixed,
        needs=needs,
        max_tokens=max_tokens,
        adapters=adapters,
    )


def critic(**settings) -> CriticSpec:
    """A critic that learns, with an optimizer as smooth as the policy's."""
    return CriticSpec(optimizer=OptimizerSpec(lr=CRITIC_RATE, eps=EPS), **settings)


def critic_tensors(of: Policy) -> dict[str, torch.Tensor]:
    """A copy of the full weights of a critic of its own, if there is one."""
    own = of._critic
    if own is None or own._module is None:
        return {}
    named = collected(own._values.classifier, own._module, of.is_main)
    return {name: tensor.clone() for name, tensor in named.items()}


def accumulate(
    of: Policy,
    batch: TokenBatch,
    *,
    max_tokens: int = 30,
    spoil: float = 1.0,
    temperature: float = 1.0,
    critic_only: bool = False,
) -> int:
    """The gradient of policy loss, entropy bonus and a critic's error; returns the microbatches.

    `spoil` multiplies the loss of this rank's first microbatch.
    """
    micros = of.split(batch, max_tokens)
    for index, micro in enumerate(micros):
        out = of.forward(micro, temperature, critic_only)
        weights = micro.loss_weights
        total = -(weights * micro.advantages * out.logprobs).sum()
        total = total - 0.1 * (weights * out.entropy).sum() + out.logprobs.sum() * 0
        critic = None if out.values is None else (weights * (out.values - 1) ** 2).sum()
        if critic_only:
            total = total * 0
        if index == 0:
            total, critic = total * spoil, None if critic is None else critic * spoil
        of.backward(total, critic)
    return len(micros)


def update(of: Policy, batch: TokenBatch, *, critic_only: bool = False, **settings) -> Metrics:
    """One step; `settings` are those of `accumulate`."""
    accumulate(of, batch, critic_only=critic_only, **settings)
    return of.merge(of.step(None if critic_only else LEARNING_RATE, CRITIC_RATE))


def tensors(of: Policy) -> dict[str, torch.Tensor]:
    """A copy of the full weights by checkpoint name."""
    return {name: tensor.clone() for name, tensor in of.weights().named_tensors()}
