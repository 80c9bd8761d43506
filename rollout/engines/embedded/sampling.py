"""Draw one token per sequence from its next-token distribution, and say how likely it was."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rollout.types import Floats


def sample_tokens(
    logits: Tensor, temperature: Floats, top_p: Floats, uniform: Floats
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Tokens [B] and their log-probs [B] under the distribution that they were drawn from.

    logits [B, V] f32; the other arguments [B]. Temperature scales first, then top-p keeps the
    smallest set of likeliest tokens with that much mass, and the rest is renormalised. The token
    is where the cumulative distribution passes `uniform`, in [0, 1), so equal inputs give equal
    tokens. Temperature 0 takes the likeliest token, whose log-prob is that at temperature 1.
    """
    greedy = temperature == 0
    if (temperature != 1).any():
        divisor = np.where(greedy, np.float32(1), temperature)
        logits = logits / torch.from_numpy(divisor).to(logits.device)[:, None]
    logprobs = logits.log_softmax(-1)
    narrow = (top_p < 1) & ~greedy
    if narrow.any():
        mass = np.where(narrow, top_p, np.float32(1))
        logprobs = nucleus(logprobs, torch.from_numpy(mass).to(logits.device))
    cumulative = logprobs.exp().cumsum(-1)
    end = cumulative[:, -1]
    # below the end in spite of rounding, so that a token without mass is never drawn
    threshold = torch.minimum(
        torch.from_numpy(uniform).to(logits.device) * end, torch.nextafter(end, end.new_zeros(()))
    )
    tokens = torch.searchsorted(cumulative, threshold[:, None], right=True).squeeze(-1)
    tokens = tokens.clamp(max=logprobs.shape[-1] - 1)  # a row of NaN gives NaN as log-prob
    if greedy.any():
        likeliest = logprobs.argmax(-1)
        tokens = torch.where(torch.from_numpy(greedy).to(logits.device), likeliest, tokens)
    drawn = logprobs.gather(-1, tokens[:, None]).squeeze(-1)
    return tokens.cpu().numpy(), drawn.cpu().numpy()


def nucleus(logprobs: Tensor, mass: Tensor) -> Tensor:
    """Log-probs [B, V] of the likeliest tokens that hold `mass` [B], renormalised; -inf elsewhere.

    A token stays while those before it hold less than `mass`: one always does. Where mass is 1 the
    row is returned as it is.
    """
    ordered, index = logprobs.sort(-1, descending=True)
    probs = ordered.exp()
    outside = (probs.cumsum(-1) - probs >= mass[:, None]) & (mass[:, None] < 1)
    kept = ordered.masked_fill(outside, -torch.inf)
    kept = torch.where(mass[:, None] < 1, kept.log_softmax(-1), kept)
    return torch.empty_like(logprobs).scatter_(-1, index, kept)
