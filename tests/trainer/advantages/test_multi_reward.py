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
