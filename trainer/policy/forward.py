"""Asking a scorer about a microbatch, and models that are only ever asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainer.batch import PolicyOutput, TokenBatch, scored_tokens
from trainer.models.load import load_model
from trainer.models.logprob_model import LogprobModel
from trainer.models.value_model import ValueModel
from trainer.parallel.deepspeed import FrozenDeepSpeedModule, loaded_in_parts
from trainer.parallel.ranks import Processes
from trainer.recipe.sections import ModelSpec, ShardingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LogprobFn = Callable[..., tuple[Tensor, ...]]
"""A `LogprobModel` or `ValueModel`, over however many ranks; all of them call it equally often."""


def load_causal_lm(
    model: ModelSpec, sharding: ShardingSpec, processes: Processes
) -> "PreTrainedModel":
    """The language model; under zero 3 each rank gets its part of the weights only."""
    with loaded_in_parts(sharding, model.torch_dtype, processes):
        return load_model(model)


def freeze(
    module: LogprobModel | ValueModel,
    model: ModelSpec,
    sharding: ShardingSpec,
    processes: Processes,
) -> LogprobFn:
    """The module without gradients or dropout, laid over the ranks as `sharding` says."""
    module = module.requires_grad_(False).eval()
    if sharding.zero < 3:
        return module.to(processes.device)
    return FrozenDeepSpeedModule(module, sharding, model.torch_dtype, processes)


def forward_microbatch(
    score: LogprobFn, micro: TokenBatch, temperature: float, *, values_reach_layers: bool = True
) -> tuple[PolicyOutput, Tensor | None]:
    """What a scorer says of the microbatch, and the outputs [T, bins or 1] of its value head.

    A microbatch without tokens is asked about too: the other ranks wait for this one in the model.
    """
    device = micro.token_ids.device
    if micro.num_tokens == 0:
        two, last = torch.arange(2, device=device), torch.tensor([1], device=device)
        said = score(torch.zeros_like(two), two, [2], last, temperature, values_reach_layers)
        logprobs, entropy, *outputs = (part[:0] for part in said)
        scored = last[:0]
    else:
        scored = scored_tokens(micro)
        ids, positions, lengths = micro.token_ids, micro.position_ids, micro.lengths.tolist()
        logprobs, entropy, *outputs = score(
            ids, positions, lengths, scored, temperature, values_reach_layers
        )
    zeros = logprobs.new_zeros(micro.num_tokens)
    out = PolicyOutput(
        logprobs=zeros.index_copy(0, scored, logprobs),
        entropy=zeros.index_copy(0, scored, entropy),
    )
    return out, outputs[0] if outputs else None
