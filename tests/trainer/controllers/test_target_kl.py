import pytest

from trainer.controllers.target_kl import target_kl

EXAMPLES = [{"target": 0.1}]


def test_moves_by_the_relative_error_held_at_a_fifth():
    controller = target_kl(target=0.1, start=1.0, rate=0.5)
    seen = []
    for kl in (0.11, 0.5, 0.0):
        controller.observe({"term/kl_k3_mean": kl})
        seen.append(controller.value(0))
    assert seen == pytest.approx([1.05, 1.05 * 1.1, 1.05 * 1.1 * 0.9])
