import statistics

import pytest
import torch

from tests.support.builders import batch
from trainer.advantages.multi_reward import multi_reward

EXAMPLES = [{"weights": {"format": 1.0, "style": 0.5}}]


def test_the_unit_of_a_component_does_not_matter():
    components = {"answer": [[1, 0, 0.5]], "format": [[0, 1, 1]]}
    of = batch([[0, 0, 0]], components=components)
    scaled = batch([[0, 0, 0]], components={**components, "answer": [[100, 0, 50]]})
    weights = {"answer": 1.0, "format": 1.0}
    torch.testing.assert_close(
        multi_reward(scaled, weights=weights), multi_reward(of, weights=weights), rtol=0, atol=1e-4
    )


def test_equals_the_three_steps_by_hand():
    components = {"answer": [[1, 0, 0], [1, 1, 0]], "format": [[0, 1, 1], [1, 0, 0.5]]}
    of = batch([[0] * 3, [0] * 3], [[1] * 3] * 2, components=components)
    sums = []
    for row in range(2):
        each = []
        for name, weight in (("answer", 2.0), ("format", 0.5)):
            values = components[name][row]
            mean, spread = statistics.fmean(values), statistics.stdev(values)
            each.append([weight * (v - mean) / spread for v in values])
        sums += [a + b for a, b in zip(*each, strict=True)]
    mean, spread = statistics.fmean(sums), statistics.stdev(sums)
    expected = [(s - mean) / spread for s in sums]
    found = multi_reward(of, weights={"answer": 2.0, "format": 0.5})[of.action_mask].tolist()
    assert found == pytest.approx(expected, rel=1e-4)


NAN = float("nan")


def test_a_missing_component_is_not_a_zero():
    of = batch([[0] * 4], [[1] * 4], components={"answer": [[1, 1, 1, NAN]]})
    assert not multi_reward(of, weights={"answer": 1.0}).any()


def test_a_sample_without_a_component_keeps_what_the_others_say():
    components = {"answer": [[3, 1, 1, NAN]], "format": [[0, 0, 2, 2]]}
    of = batch([[0] * 4], [[1] * 4], components=components)
    # answer: mean 5/3 of three, spread 2/sqrt(3); format: mean 1, spread 2/sqrt(3)
    unit = 2 / 3**0.5
    sums = [(4 / 3 - 1) / unit, (-2 / 3 - 1) / unit, (-2 / 3 + 1) / unit, 1 / unit]
    mean, spread = statistics.fmean(sums), statistics.stdev(sums)
    found = multi_reward(of, weights={"answer": 1.0, "format": 1.0})[of.action_mask].tolist()
    assert found == pytest.approx([(s - mean) / spread for s in sums], rel=1e-4)


def test_a_sample_without_any_component_gets_zero_and_moves_nobody():
    full = batch([[0] * 3], [[1] * 3], components={"answer": [[3, 1, 1]]})
    more = batch([[0] * 4], [[1] * 4], components={"answer": [[3, 1, 1, NAN]]})
    expected = multi_reward(full, weights={"answer": 1.0})[full.action_mask].tolist()
    assert multi_reward(more, weights={"answer": 1.0})[more.action_mask].tolist() == [*expected, 0]


def test_the_constant_is_added_to_both_deviations():
    of = batch([[0, 0]], [[1, 1]], components={"answer": [[2, 0]]})
    found = multi_reward(of, weights={"answer": 1.0}, eps=1.0)[of.action_mask].tolist()
    # +-1 / (sqrt 2 + 1) = +-0.41421, whose deviation is 0.58579: 0.41421 / 1.58579
    assert found == pytest.approx([0.26120, -0.26120], abs=1e-5)
