import pytest

from tests.support.builders import batch
from trainer.shaping.running_scale import running_scale

EXAMPLES = [{"scale": 2.0, "centre": 0.5}]


def test_rewards_in_units_of_the_spread():
    shaped = running_scale(batch([[5, 1]]), scale=2.0, centre=1.0).tolist()
    assert shaped == pytest.approx([2, 0], abs=1e-5)
