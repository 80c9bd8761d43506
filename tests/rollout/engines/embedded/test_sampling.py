"""Drawing tokens: worked distributions, and counts that follow them."""

import numpy as np
import pytest
import torch

from rollout.engines.embedded.sampling import nucleus, sample_tokens

PROBS = (0.5, 0.3, 0.15, 0.05)
LOGITS = torch.tensor(PROBS).log()


def drawn(uniforms, *, temperature=1.0, top_p=1.0, logits=LOGITS):
    rows = len(uniforms)
    fill = [np.full(rows, x, dtype=np.float32) for x in (temperature, top_p)]
    tokens, logprobs = sample_tokens(
        logits.expand(rows, -1), *fill, np.array(uniforms, dtype=np.float32)
    )
    return tokens.tolist(), np.exp(logprobs)


def test_the_token_is_where_the_cumulative_distribution_passes_the_number():
    tokens, probs = drawn([0.0, 0.49, 0.51, 0.79, 0.81, 0.96, 1.0])
    assert tokens == [0, 0, 1, 1, 2, 3, 3]
    assert probs == pytest.approx([0.5, 0.5, 0.3, 0.3, 0.15, 0.05, 0.05])


def test_temperature_two_takes_square_roots():
    roots = np.sqrt(PROBS) / np.sqrt(PROBS).sum()  # 0.3770 0.2920 0.2065 0.1192...
    tokens, probs = drawn([0.38, 0.99], temperature=2.0)
    assert tokens == [1, 3]
    assert probs == pytest.approx(roots[[1, 3]], rel=1e-5)


def test_temperature_zero_takes_the_likeliest_and_reports_temperature_one():
    tokens, probs = drawn([0.0, 0.99], temperature=0.0, top_p=0.1)
    assert tokens == [0, 0]
    assert probs == pytest.approx([0.5, 0.5])


def test_top_p_keeps_the_smallest_set_with_that_mass_and_renormalises():
    tokens, probs = drawn([0.99, 0.6], top_p=0.75)  # 0.5 + 0.3 passes 0.75
    assert tokens == [1, 0]
    assert probs == pytest.approx([0.3 / 0.8, 0.5 / 0.8])


def test_top_p_always_keeps_one_token():
    tokens, probs = drawn([0.99], top_p=1e-6)
    assert (tokens, probs.tolist()) == ([0], [1.0])


def test_nucleus_leaves_rows_of_full_mass_alone():
    rows = LOGITS.flip(0).repeat(2, 1)
    out = nucleus(rows, torch.tensor([1.0, 0.4]))
    assert torch.equal(out[0], rows[0])
    assert out[1].exp().tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_token_without_mass_is_never_drawn():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    assert drawn([0.0, 0.5, 1.0], logits=logits)[0] == [1, 3, 3]


def test_counts_follow_the_distribution():
    uniforms = (np.arange(1000) + 0.5) / 1000
    assert np.bincount(drawn(uniforms)[0]).tolist() == [500, 300, 150, 50]
