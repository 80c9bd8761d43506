import pytest

from trainer.controllers.ema_baseline import ema_baseline

EXAMPLES = [{}, {"decay": 0.5, "start": 1.0}]


def test_starts_at_the_first_value_and_forgets_by_its_decay():
    average = ema_baseline(decay=0.75, start=0.5)
    assert average.value(0) == 0.5
    seen = []
    for reward in (0.2, 0.6, 0.6):
        average.observe({"reward/mean": reward})
        seen.append(average.value(0))
    assert seen == pytest.approx([0.2, 0.3, 0.375])
