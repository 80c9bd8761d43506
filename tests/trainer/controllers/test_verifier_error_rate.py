import pytest

from recipes.slots.registry import SlotEntry
from trainer.controllers.verifier_error_rate import verifier_error_rate
from trainer.shaping import shaping

EXAMPLES = [{"of": "false_negative"}, {"of": "false_positive", "use": "high", "start": 0.2}]


def test_it_moves_from_its_start_towards_the_estimate():
    rate = verifier_error_rate(of="false_negative", start=0.1, decay=0.5)
    assert rate.value(0) == 0.1
    rate.observe({"verifier/false_negative": 0.3, "verifier/false_positive": 0.9})
    assert rate.value(1) == pytest.approx(0.2)
    rate.observe({"reward/mean": 1.0})
    assert rate.value(2) == pytest.approx(0.2)


def test_it_may_follow_an_end_of_the_interval():
    rate = verifier_error_rate(of="false_positive", use="low", decay=0.0)
    rate.observe({"verifier/false_positive": 0.3, "verifier/false_positive_low": 0.25})
    assert rate.value(1) == 0.25


def test_two_rates_stay_below_1_together():
    rate = verifier_error_rate(of="false_negative", decay=0.0)
    rate.observe({"verifier/false_negative": 0.9})
    assert rate.value(1) == 0.45


def test_it_survives_a_checkpoint():
    before, after = (verifier_error_rate(of="false_negative", decay=0.5) for _ in range(2))
    before.observe({"verifier/false_negative": 0.3})
    after.load_state_dict(before.state_dict())
    assert after.value(1) == before.value(1) == pytest.approx(0.15)


def test_debias_reward_takes_it():
    rate = {"name": "verifier_error_rate", "of": "false_negative"}
    entry = {"name": "debias_reward", "false_positive": 0.0, "false_negative": rate}
    assert isinstance(shaping.bind(entry).options["false_negative"], SlotEntry)
