"""Every controller: a finite number at all times, and a state that survives a checkpoint."""

import json

import pytest

from tests.contracts.ragged import Case, cases
from trainer.controllers import number

pytestmark = pytest.mark.parametrize("case", cases(number, tag="controller"))

STEPS = [
    {"reward/mean": r, "reward/correct": r, "policy/entropy": h, "term/kl_k3_mean": k,
     "loss/clip_high_frac": k, "verifier/false_negative": k, "verifier/false_positive_high": k}
    for r, h, k in [(0.1, 1.5, 0.0), (0.3, 1.1, 0.2), (0.2, 1.1, 0.01), (0.6, 0.4, 0.5)]
]  # fmt: skip


def test_gives_a_finite_number_before_and_after_every_step(case: Case):
    controller = case.call()
    for step, metrics in enumerate(STEPS):
        assert abs(controller.value(step)) < 1e6
        controller.observe(metrics)
    assert abs(controller.value(len(STEPS))) < 1e6


def test_a_step_without_its_metric_changes_nothing(case: Case):
    controller = case.call()
    controller.observe(STEPS[0])
    before = controller.state_dict()
    controller.observe({"something/else": 1.0})
    assert controller.state_dict() == before


def test_goes_on_from_a_checkpoint_as_if_never_stopped(case: Case):
    whole, first, second = case.call(), case.call(), case.call()
    for metrics in STEPS[:2]:
        whole.observe(metrics)
        first.observe(metrics)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for step, metrics in enumerate(STEPS[2:], 2):
        assert second.value(step) == whole.value(step)
        whole.observe(metrics)
        second.observe(metrics)
    assert second.value(4) == whole.value(4)


def test_follows_its_metric(case: Case):
    controller = case.call()
    states = [controller.state_dict()]
    for metrics in STEPS:
        controller.observe(metrics)
        states.append(controller.state_dict())
    assert any(state != states[0] for state in states)
