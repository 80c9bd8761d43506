"""A language model as the trainer calls it: packed tokens in, their log-probs and entropy out."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from trainer.models.backbone import backbone, hidden_states
from trainer.models.served import check_served, refusal
from trainer.models.tiled_logprobs import Head, LogitShape
from trainer.models.value_model import ValueHead

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LogprobModel(nn.Module):
    """Runs the layers below the heads, then the heads: log-probs in tiles, values where asked."""

    def __init__(self, causal_lm: "PreTrainedModel", value_head: ValueHead | None = None) -> None:
        """value_head: of a critic that shares the policy's layers"""
        super().__init__()
        self.causal_lm = causal_lm
        layer = causal_lm.get_output_embeddings()
        if not isinstance(layer, nn.Linear):
            raise refusal(causal_lm, "its output layer is not one linear layer")
        self.head = Head(layer, logit_shape(causal_lm))
        self.value_head = value_head
        self.hidden_size: int = causal_lm.config.get_text_config().hidden_size

    def forward(
        self,
        token_ids: Tensor,
        position_ids: Tensor,
        lengths: list[int],
        scored: Tensor,
        temperature: float,
        values_reach_layers: bool = True,
    ) -> tuple[Tensor, ...]:
        """Log-prob of the tokens `scored` [N] (none first in its sequence), and entropy there.

        token_ids [T] and position_ids [T] are sequences of `lengths`, end to end.
        values_reach_layers: whether a gradient of the values goes on below the value head
        Returns (logprobs [N], entropy [N]), fp32, nats, at the temperature; and with a value head
        its outputs after each token [T, bins or 1].
        """
        hidden = hidden_states(backbone(self.causal_lm), token_ids, position_ids, lengths)
        logprobs, entropy = self.head(hidden[scored - 1], token_ids[scored], temperature)
        if self.value_head is None:
            return logprobs, entropy
        return (
            logprobs,
            entropy,
            self.value_head(hidden if values_reach_layers else hidden.detach()),
        )


def logit_shape(causal_lm: "PreTrainedModel") -> LogitShape:
    """What the model's own forward pass does to its logits, by its configuration."""
    config = causal_lm.config.get_text_config().to_dict()
    scale = config.get("logit_scale") or 1.0  # Cohere multiplies
    scale /= config.get("logits_scaling") or 1.0  # Granite divides
    return LogitShape(scale=scale, softcap=config.get("final_logit_softcapping") or 0.0)


def check_logprobs(scorer: LogprobModel) -> None:
    """Compare with the model's own forward pass on a few tokens: packing, layers and head.

    Raises RecipeError for a model whose log-probs the trainer would not compute as it does.
    """

    def own(ids: Tensor) -> Tensor:
        logits: Tensor = scorer.causal_lm(input_ids=ids[None], use_cache=False).logits[0, :-1]
        return logits.float().log_softmax(dim=1).gather(1, ids[1:, None]).squeeze(1)

    def ours(ids: Tensor, positions: Tensor, lengths: list[int]) -> Tensor:
        found: Tensor = scorer(ids, positions, lengths, positions.nonzero().squeeze(1), 1.0)[0]
        return found

    check_served(scorer.causal_lm, own, ours)
