"""A language model as the trainer calls it: packed tokens in, their log-probs and entropy out."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from recipes.errors import RecipeError
from rollout.engines.attention import ATTENTION, packing_of
from trainer.head import Head, LogitShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Scorer(nn.Module):
    """Runs the layers below the head, then the head on the tokens that count, in tiles."""

    def __init__(self, causal_lm: "PreTrainedModel") -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.head = Head(causal_lm.get_output_embeddings(), logit_shape(causal_lm))
        self.packed = causal_lm.config._attn_implementation == ATTENTION

    def forward(
        self,
        token_ids: Tensor,
        position_ids: Tensor,
        lengths: list[int],
        scored: Tensor,
        temperature: float,
    ) -> tuple[Tensor, Tensor]:
        """Log-prob of the tokens `scored` [N] (none first in its sequence), and entropy there.

        token_ids [T] and position_ids [T] are sequences of `lengths`, end to end.
        Returns (logprobs [N], entropy [N]), fp32, nats, at the temperature.
        """
        run = self._packed if self.packed else self._padded
        hidden = run(token_ids, position_ids, lengths)
        result: tuple[Tensor, Tensor] = self.head(
            hidden[scored - 1], token_ids[scored], temperature
        )
        return result

    def _packed(self, token_ids: Tensor, position_ids: Tensor, lengths: list[int]) -> Tensor:
        """Hidden states [T, H]; one row of tokens, each sequence sees only itself."""
        hidden: Tensor = self._layers(
            input_ids=token_ids[None],
            position_ids=position_ids[None],
            packing=packing_of(lengths, token_ids.device),
        )
        return hidden.squeeze(0)

    def _padded(self, token_ids: Tensor, position_ids: Tensor, lengths: list[int]) -> Tensor:
        """Hidden states [T, H]; one row a sequence, for models without packed attention."""
        rows = pad_sequence(list(torch.split(token_ids, lengths)), batch_first=True)
        counts = torch.tensor(lengths, device=token_ids.device)
        real = torch.arange(rows.shape[1], device=token_ids.device) < counts[:, None]
        hidden: Tensor = self._layers(input_ids=rows, attention_mask=real.long())
        return hidden[real]

    def _layers(self, **inputs: Any) -> Tensor:
        decoder: Any = self.causal_lm.get_decoder()
        hidden: Tensor = decoder(**inputs, use_cache=False).last_hidden_state
        return hidden


def logit_shape(causal_lm: "PreTrainedModel") -> LogitShape:
    """What the model's own forward pass does to its logits, by its configuration."""
    config = causal_lm.config.get_text_config().to_dict()
    scale = config.get("logit_scale") or 1.0  # Cohere multiplies
    scale /= config.get("logits_scaling") or 1.0  # Granite divides
    return LogitShape(scale=scale, softcap=config.get("final_logit_softcapping") or 0.0)


@torch.no_grad()
def check_head(scorer: Scorer) -> None:
    """Compare with the model's own forward pass on a few tokens; its head may do more than ours.

    Raises RecipeError for a model whose logits are not what `logit_shape` says.
    """
    ids = torch.arange(1, 9)
    logits = scorer.causal_lm(input_ids=ids[None], use_cache=False).logits.squeeze(0).float()
    expected = logits.log_softmax(dim=1)[torch.arange(7), ids[1:]]
    found, _ = scorer(ids, torch.arange(8), [8], torch.arange(1, 8), 1.0)
    gap = float((found - expected).abs().max())
    allowed = 1e-3 if scorer.head.weight.dtype == torch.float32 else 0.1
    if not gap <= allowed:
        name = type(scorer.causal_lm).__name__
        raise RecipeError.of(
            f"the log-probs of {name} differ by {gap:.3g} nats from its own forward pass: its head "
            "does something to the logits that the trainer does not know",
            path="model.path",
            fix="use another model, or teach trainer/scorer.py:logit_shape what this one does",
        )
