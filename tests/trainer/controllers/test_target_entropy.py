import pytest

from trainer.controllers.target_entropy import target_entropy

EXAMPLES = [{"target": 1.0}]


def test_rises_below_the_target_and_is_off_above_it():
    controller = target_entropy(target=0.5, start=0.01, delta=0.005)
    seen = [controller.value(0)]
    for entropy in (0.4, 0.5, 0.6, 0.3):
        controller.observe({"policy/entropy": entropy})
        seen.append(controller.value(0))
    assert seen == pytest.approx([0.01, 0.015, 0.02, 0.0, 0.02])


def test_stays_inside_its_bounds():
    controller = target_entropy(target=0.5, start=0.01, delta=1.0, low=0.01, high=0.05)
    controller.observe({"policy/entropy": 0.1})
    assert controller.value(0) == 0.05
    controller.observe({"policy/entropy": 0.9})
    assert controller.state_dict()["coef"] == 0.01
