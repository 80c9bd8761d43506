"""Whether the trainer computes what a loaded model computes: a trial on a few tokens, or a refusal.

    the model's own forward pass, one sequence at a time   |
    the trainer's, sequences end to end or padded          |  log-probs equal to rounding

No family of models is listed here. Packed attention is used where the trial finds it equal, padded
rows where it finds those equal, and every other model is refused before anything is sampled. The
masks that the model builds are compared too, at all lengths (`rollout.attention.mask_table`): the
window or the chunk of a layer is longer than the trial.

A model that is loaded in parts (zero 3) cannot be tried, and is used as its configuration says.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recipes.errors import RecipeError, shortened
from rollout.attention import ATTENTION, CHECKED, supports

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_LENGTHS = (8, 3)  # tokens of the two sequences; the second is the beginning of the first
_EXACT = 1e-3  # nats for one token in fp32
_ROUNDED = 0.1  # nats on average in bf16, in which one logit near 30 is rounded by 0.06
_RELATIVE = 0.02  # of the numbers' mean size in bf16, where that is more: many layers add up


def use_packed_attention(model: "PreTrainedModel") -> None:
    """Set packed attention where the configuration has nothing against it; `check_served` tries."""
    if supports(model):
        model.set_attn_implementation(ATTENTION)
    else:
        _warn(model, "its layers do not all go through transformers' attention interface")


def is_whole(model: nn.Module) -> bool:
    """Whether this process holds every weight; zero 3 leaves empty tensors."""
    return all(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def check_served(
    model: "PreTrainedModel",
    own: Callable[[Tensor], Tensor],
    ours: Callable[[Tensor, Tensor, list[int]], Tensor],
) -> None:
    """Try the model, and choose its attention.

    own: the model's own forward pass on ids [n]: one number, or row of numbers, for each token
    ours: the trainer's on packed ids and positions [T] of sequences of given lengths
    Raises RecipeError for a model that the trainer would compute wrongly, or not at all.
    """
    row = torch.arange(1, 1 + _LENGTHS[0])
    rows = [row[:length] for length in _LENGTHS]
    packed = model.config._attn_implementation == ATTENTION
    try:
        if packed:
            model.set_attn_implementation("eager")  # the definition; a fused kernel may leave out
        whole, start = (own(row) for row in rows)
    except Exception as error:  # a model's code may raise anything
        raise refusal(model, f"its own forward pass on tokens fails ({_words(error)})") from error
    exact = next(model.parameters()).dtype == torch.float32
    if _gap(whole[: len(start)], start, exact=exact) > 1:
        raise refusal(model, "it is not causal: what it says of a token depends on later tokens")

    def difference(rows: Sequence[Tensor], expected: Sequence[Tensor]) -> str:
        """Why the trainer's numbers of some sequences are not the model's; empty where they are."""
        lengths = [len(row) for row in rows]
        positions = torch.cat([torch.arange(length) for length in lengths])
        try:
            found = ours(torch.cat(list(rows)), positions, lengths)
        except Exception as error:
            return f"the trainer's forward pass fails ({_words(error)})"
        wanted = torch.cat(list(expected))
        if _gap(found, wanted, exact=exact) <= 1:
            return ""
        most = float((found - wanted).abs().max())
        return f"the trainer's numbers differ from its own forward pass by up to {most:.3g}"

    if packed:
        model.set_attn_implementation(CHECKED)  # of one sequence: the model masks others itself
        why = difference(rows[1:], [start])
        if not why:
            model.set_attn_implementation(ATTENTION)
            why = difference(rows, [whole, start])
        if not why:
            return
        model.set_attn_implementation("eager")
        _warn(model, why)
    if why := difference(rows, [whole, start]):
        raise refusal(model, why)


def _gap(found: Tensor, expected: Tensor, *, exact: bool) -> float:
    """Distance in units of what is allowed; NaN counts as too much."""
    gaps = (found - expected).abs()
    allowed = max(_ROUNDED, _RELATIVE * float(expected.abs().mean()))
    gap = float(gaps.max() / _EXACT) if exact else float(gaps.mean() / allowed)
    return gap if gap == gap else torch.inf


def _words(error: Exception) -> str:
    return shortened(f"{type(error).__name__}: {str(error).strip()}".replace("\n", " "))


def refusal(model: "PreTrainedModel", fact: str) -> RecipeError:
    """The RecipeError for a model that cannot be served."""
    return RecipeError.of(
        f"{type(model).__name__} (model type {model.config.model_type}) cannot be trained or "
        f"sampled here: {fact}",
        path="model.path",
        fix="use a causal language model of another family; docs/models.md has the rule and those "
        "that were tried",
    )


def _warn(model: "PreTrainedModel", why: str) -> None:
    log.warning(
        "%s does not take packed attention: %s. Sequences are padded to the longest of their "
        "microbatch instead, which is slower, and engine hf cannot sample from it",
        type(model).__name__,
        why,
    )
