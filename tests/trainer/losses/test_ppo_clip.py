import pytest
import torch

from tests.support.builders import annotated, batch, output
from trainer.losses.ppo_clip import ppo_clip


def at(ratios: list[float], advantages: list[float]):
    """A batch of one sample whose tokens have these ratios and advantages, and the policy."""
    of = annotated(batch([[1]], [[len(ratios)]], prompts=[1]))
    of = of.replace(advantages=torch.tensor([0.0, *advantages]))
    return output(of, logprobs=of.old_logprobs + torch.tensor([1.0, *ratios]).log()), of


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.1, 2.0, -2.2, -2.2),
        (1.5, 2.0, -2.4, 0.0),  # above 1.2, and the advantage says more: nothing more to gain
        (0.5, 2.0, -1.0, -1.0),  # below 0.8, but the advantage pulls back: kept
        (0.5, -2.0, 1.6, 0.0),  # below 0.8, and the advantage says less: nothing more to gain
        (1.5, -2.0, 3.0, 3.0),  # above 1.2, but the advantage pulls back: kept
    ],
)
def test_the_six_cases_of_the_clip(ratio, advantage, value, gradient):
    out, of = at([ratio], [advantage])
    values = ppo_clip(out, of).values
    values.sum().backward()
    assert values[1].item() == pytest.approx(value)
    assert out.logprobs.grad[1].item() == pytest.approx(gradient)


def test_clip_higher_leaves_more_room_above():
    out, of = at([1.25, 0.75], [1.0, -1.0])
    values = ppo_clip(out, of, clip_low=0.2, clip_high=0.28).values
    torch.testing.assert_close(values, torch.tensor([0, -1.25, 0.8]))


def test_dual_clip_bounds_the_loss_of_a_negative_advantage_only():
    out, of = at([5.0, 5.0], [-1.0, 1.0])
    assert ppo_clip(out, of).values.tolist() == pytest.approx([0, 5.0, -1.2])
    assert ppo_clip(out, of, dual_clip=3.0).values.tolist() == pytest.approx([0, 3.0, -1.2])


def test_metrics_count_the_clipped_tokens_over_the_trained_ones():
    out, of = at([1.5, 0.5, 1.0, 5.0], [1.0, -1.0, 1.0, -1.0])
    numbers = {name: m.value for name, m in ppo_clip(out, of, dual_clip=3.0).metrics.items()}
    assert numbers == {"clip_high_frac": 0.25, "clip_low_frac": 0.25, "dual_clip_frac": 0.25}
