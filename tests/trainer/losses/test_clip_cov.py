import pytest
import torch

from tests.builders import annotated, batch, output
from trainer.losses.clip_cov import clip_cov, silenced
from trainer.losses.ppo_clip import ppo_clip

EXAMPLES = [{"frac": 0.2, "low": 0.0, "high": 9.0}, {"relative": True}]
BAND = {"low": 1.0, "high": 5.0, "relative": False, "clip_low": 1.0, "clip_high": 1.0}


def tokens():
    """Six tokens of covariances 8, 4, 2, 2, -8, -8 (log-probs and advantages about 0)."""
    of = annotated(batch([[1]], [[6]], prompts=[1]))
    logprobs = torch.tensor([0.0, -4 + 4, -4 + 2, -4 + 1, -4 - 1, -4 + 2, -4 - 4])
    logprobs = torch.tensor([0.0, -2.0, -4.0, -5.0, -7.0, -4.0, -8.0]) - 1
    advantages = torch.tensor([0.0, 3.0, 2.0, 1.0, -1.0, -2.0, -3.0])
    return of.replace(advantages=advantages, old_logprobs=logprobs), logprobs


def products() -> torch.Tensor:
    of, logprobs = tokens()
    centred = logprobs[1:] - logprobs[1:].mean()
    return centred * of.advantages[1:]


def test_one_token_of_the_band_is_silenced_and_the_others_are_ppo():
    of, logprobs = tokens()
    among = (products() > 1) & (products() < 5)
    assert int(among.sum()) == 2
    drop = silenced(logprobs, of, frac=0.2, **BAND)[1:, 0] > 0
    assert int(drop.sum()) == 1
    assert bool((drop <= among).all())
    out = output(of, logprobs=logprobs)
    whole = of.replace(prepared=silenced(logprobs, of, frac=0.2, **BAND))
    values = clip_cov(out, whole, frac=0.2).values
    values.sum().backward()
    plain = ppo_clip(out, of, clip_low=1.0, clip_high=1.0).values
    assert torch.equal(values[1:], torch.where(drop, 0.0, plain[1:]))
    assert torch.equal(out.logprobs.grad[1:] == 0, drop)


def test_a_larger_share_silences_the_whole_band_and_no_more():
    of, logprobs = tokens()
    drop = silenced(logprobs, of, frac=1.0, **BAND)[1:, 0] > 0
    assert torch.equal(drop, (products() > 1) & (products() < 5))


def test_an_empty_band_silences_none():
    of, logprobs = tokens()
    assert not silenced(logprobs, of, frac=1.0, **{**BAND, "low": 90.0, "high": 99.0}).any()


def test_a_token_that_is_clipped_already_is_not_a_candidate():
    of, logprobs = tokens()
    moved = of.replace(old_logprobs=of.old_logprobs - 5 * (of.advantages == 2.0))
    clip = {**BAND, "clip_high": 0.2}
    drop = silenced(logprobs, moved, frac=1.0, **clip)[1:, 0] > 0
    assert not drop[1]


def test_a_relative_band_is_in_multiples_of_the_mean_covariance():
    of, logprobs = tokens()
    unit = float(products().abs().mean())
    band = {**BAND, "low": 1 / unit, "high": 5 / unit, "relative": True}
    expected = silenced(logprobs, of, frac=1.0, **BAND)
    assert torch.equal(silenced(logprobs, of, frac=1.0, **band), expected)
    assert unit == pytest.approx(5.0, abs=3)
