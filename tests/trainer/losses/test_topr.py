import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.topr import topr

EXAMPLES = [{}, {"cap": 2.0}]


def test_a_right_sample_keeps_its_full_weight():
    out, of = at([[0.5, 0.5]], [[1.0, 1.0]])
    topr(out, of).values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-1, -1])


def test_a_wrong_sample_weighs_its_sequences_ratio_at_most_one():
    out, of = at([[0.5, 0.5], [2.0, 3.0]], [[-1.0, -1.0], [-1.0, -1.0]])
    topr(out, of).values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([0.25, 0.25, 1, 1])
