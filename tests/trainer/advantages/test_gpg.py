import pytest

from tests.support.builders import batch
from trainer.advantages.gpg import gpg

EXAMPLES = [{}, {"count": "rewarded"}]


def test_a_uniform_group_doubles_the_others_scale():
    of = batch([[1, 0], [1, 1]], [[1, 1], [1, 1]])
    assert gpg(of)[of.action_mask].tolist() == [1.0, -1.0, 0, 0]


def test_counting_rewarded_samples():
    of = batch([[1, 0], [1, 1]], [[1, 1], [1, 1]])
    values = gpg(of, count="rewarded")[of.action_mask].tolist()
    assert values == pytest.approx([0.5 * 4 / 3, -0.5 * 4 / 3, 0, 0])
