import torch

from tests.support.builders import annotated, batch, output
from trainer.losses.clip_cov import clip_cov, silenced_stats
from trainer.losses.ppo_clip import ppo_clip

EXAMPLES = [{"frac": 0.2, "low": 0.0, "high": 9.0}, {"relative": True}]
BAND = {"low": 1.0, "high": 5.0, "relative": False, "clip_low": 1.0, "clip_high": 1.0}


def tokens():
    """Six tokens of covariances 9, 2, 0, 2, -2 and 9: two lie in the band from 1 to 5."""
    of = annotated(batch([[1]], [[6]], prompts=[1]))
    logprobs = torch.tensor([0.0, -3, -5, -6, -8, -5, -9])  # mean -6
    advantages = torch.tensor([0.0, 3, 2, 1, -1, -2, -3])  # mean 0
    of = of.replace(advantages=advantages, old_logprobs=logprobs, current_logprobs=logprobs)
    return of, logprobs


def dropped(of, frac, **changes) -> list[bool]:
    """Which of the six sampled tokens do not learn."""
    return silenced_stats(of, frac=frac, **{**BAND, **changes})[1:, 0].bool().tolist()


def test_the_covariances_are_reported_beside_the_draw():
    of, _ = tokens()
    assert silenced_stats(of, frac=1.0, **BAND)[:, 1].tolist() == [0, 9, 2, 0, 2, -2, 9]


def test_one_token_of_the_band_is_silenced_and_the_others_are_ppo():
    of, logprobs = tokens()
    drop = dropped(of, 0.2)
    assert drop in ([False, True] + [False] * 4, [False] * 3 + [True, False, False])
    out = output(of, logprobs=logprobs)
    stats = silenced_stats(of, frac=0.2, **BAND)
    values = clip_cov(out, of.replace(minibatch_stats=stats)).values
    values.sum().backward()
    plain = ppo_clip(out, of, clip_low=1.0, clip_high=1.0).values
    silent = torch.tensor([False, *drop])
    assert torch.equal(values, torch.where(silent, 0.0, plain))
    assert torch.equal(out.logprobs.grad[1:] == 0, silent[1:])


def test_a_larger_share_silences_the_whole_band_and_no_more():
    of, _ = tokens()
    assert dropped(of, 1.0) == [False, True, False, True, False, False]


def test_an_empty_band_silences_none():
    of, _ = tokens()
    assert not any(dropped(of, 1.0, low=90.0, high=99.0))


def test_a_token_that_is_clipped_already_is_not_a_candidate():
    of, _ = tokens()
    moved = of.replace(old_logprobs=of.old_logprobs - 5 * (of.advantages == 2.0))
    expected = [False, False, False, True, False, False]
    assert dropped(moved, 1.0, clip_high=0.2) == expected


def test_a_relative_band_is_in_multiples_of_the_mean_covariance():
    of, _ = tokens()
    # mean absolute covariance 24 / 6 = 4: from 0.25 to 1.25 of it is from 1 to 5
    found = dropped(of, 1.0, low=0.25 - 1e-6, high=1.25, relative=True)
    assert found == [False, True, False, True, False, False]
    assert not any(dropped(of, 1.0, low=0.6, high=1.25, relative=True))


def test_the_ends_of_the_band_are_outside_it():
    of, _ = tokens()
    assert not any(dropped(of, 1.0, low=2.0, high=9.0))  # covariances 9, 2, 0, 2, -2 and 9


def test_a_token_below_the_lower_clip_bound_is_not_a_candidate_either():
    of, _ = tokens()
    moved = of.replace(old_logprobs=of.old_logprobs + 5 * (of.advantages == -1.0))
    expected = [False, True, False, False, False, False]
    assert dropped(moved, 1.0, clip_low=0.2) == expected


def test_only_trained_tokens_are_silenced():
    of, _ = tokens()
    of = of.replace(train_mask=of.train_mask & (of.position_ids > 3))  # three of the six
    silent = silenced_stats(of, frac=1.0, **{**BAND, "low": -99.0, "high": 99.0})[:, 0].bool()
    assert torch.equal(silent, of.train_mask)


def test_a_token_inside_the_clip_bounds_stays_a_candidate():
    of, _ = tokens()  # every ratio is 1
    expected = [False, True, False, True, False, False]
    assert dropped(of, 1.0, clip_low=0.2, clip_high=0.2) == expected
