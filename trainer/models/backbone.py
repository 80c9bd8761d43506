"""The layers below every head, on packed tokens: each sequence sees only itself."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rollout.attention import ATTENTION, CHECKED, packing_of
from trainer.models.served import refusal

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def hidden_states(
    layers: "PreTrainedModel", token_ids: Tensor, position_ids: Tensor, lengths: list[int]
) -> Tensor:
    """The last hidden state [T, H] after each of the tokens.

    token_ids [T] and position_ids [T] are sequences of `lengths`, end to end. Models without
    packed attention get one padded row a sequence instead.
    """
    if layers.config._attn_implementation in (ATTENTION, CHECKED):
        hidden = _run(
            layers,
            input_ids=token_ids[None],
            position_ids=position_ids[None],
            packing=packing_of(lengths, token_ids.device),
        )
        return hidden.squeeze(0)
    rows = pad_sequence(list(torch.split(token_ids, lengths)), batch_first=True)
    counts = torch.tensor(lengths, device=token_ids.device)
    real = torch.arange(rows.shape[1], device=token_ids.device) < counts[:, None]
    return _run(layers, input_ids=rows, attention_mask=real.long())[real]


def backbone(causal_lm: "PreTrainedModel") -> "PreTrainedModel":
    """The layers below the language model's head."""
    from transformers import PreTrainedModel

    decoder: nn.Module = causal_lm.get_decoder()
    if isinstance(decoder, PreTrainedModel) and decoder is not causal_lm:
        return decoder
    # transformers guesses by names; where that fails, the layers are the one model inside.
    inside = [part for part in causal_lm.children() if isinstance(part, PreTrainedModel)]
    if len(inside) != 1:
        raise refusal(causal_lm, "the layers below its head cannot be told apart")
    return inside[0]


def _run(layers: "PreTrainedModel", **inputs: Any) -> Tensor:
    hidden: Tensor = layers(**inputs, use_cache=False).last_hidden_state
    return hidden
