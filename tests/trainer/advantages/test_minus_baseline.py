from tests.support.builders import batch
from trainer.advantages.minus_baseline import minus_baseline

EXAMPLES = [{}, {"baseline": 0.25, "scale": 2.0}]


def test_a_group_of_equal_rewards_still_learns():
    of = batch([[1, 1], [0]], [[1, 2], [1]])
    values = minus_baseline(of, baseline=0.25, scale=0.5)[of.action_mask]
    assert values.tolist() == [1.5, 1.5, 1.5, -0.5]
