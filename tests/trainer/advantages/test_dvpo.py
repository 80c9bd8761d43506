import pytest
import torch

from tests.support.builders import batch
from trainer.advantages.dvpo import dvpo
from trainer.ops.segments import whiten

EXAMPLES = [{"mode": mode} for mode in ("q_after", "td", "official")]
ACTS = torch.tensor([False, True, True, True])


def sample(values: list[float], end: float, reward: float = 1.0):
    """One prompt token and `values` before each sampled token; `end` is the value after them."""
    of = batch([[reward]], [[len(values)]], prompts=[1])
    after = [9.0, *values[1:], end]
    return of.replace(values=torch.tensor([9.0, *values]), next_values=torch.tensor(after))


@pytest.mark.parametrize(
    ("mode", "unwhitened"),
    [
        # values before the tokens 0.25, 0.5, 0.75, at the end 0.25
        ("q_after", [0.5, 0.75, 0.25]),
        ("td", [0.25, 0.25, -0.5]),
    ],
)
def test_what_the_value_model_says(mode, unwhitened):
    expected = whiten(torch.tensor([0.0, *unwhitened]), ACTS)
    found = dvpo(sample([0.25, 0.5, 0.75], 0.25), mode=mode)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95])
def test_official_is_the_mean_of_later_values_minus_the_present_one(lam):
    # A_t = -V_t + (1 - lam) (V_{t+1} + lam V_{t+2} + ...), the end valued 0
    found = dvpo(sample([0.25, 0.5, 1.0], 0.75), mode="official", lam=lam)
    one, two, three = whiten(torch.tensor([0.0, 0.25, 0.5, 1.0]), ACTS)[1:].tolist()
    rest = 1 - lam
    expected = [-one + rest * two + rest * lam * three, -two + rest * three, -three]
    torch.testing.assert_close(found, whiten(torch.tensor([0.0, *expected]), ACTS))


def test_a_high_last_value_counts_against_the_last_token_in_the_published_code():
    of = sample([0.0, 0.0, 1.0], 1.0)
    assert dvpo(of, mode="official")[-1] < 0 < dvpo(of, mode="q_after")[-1]


@pytest.mark.parametrize("mode", ["q_after", "td", "official"])
def test_the_reward_is_not_read(mode):
    good, bad = sample([0.25, 0.5, 0.75], 0.5), sample([0.25, 0.5, 0.75], 0.5, reward=-3.0)
    assert torch.equal(dvpo(good, mode=mode), dvpo(bad, mode=mode))


@pytest.mark.parametrize("mode", ["q_after", "td", "official"])
def test_a_model_that_says_the_same_everywhere_gives_no_direction(mode):
    assert not dvpo(sample([0.5, 0.5, 0.5], 0.5), mode=mode)[ACTS].any()
