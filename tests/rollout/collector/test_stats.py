import pytest

from rollout.collector.stats import RolloutStats
from tests.support.builders import group


def test_every_finished_group_counts_kept_or_not():
    tally = RolloutStats()
    tally.add(group([1, 1]), kept=False)
    tally.add(group([1, 0, 0, 0]), kept=True)
    tally.add(group([0, 0]), kept=False)
    tally.add_failed()
    metrics = tally.metrics()
    assert metrics["rollout/groups"] == 4
    assert metrics["rollout/kept_frac"] == 0.25
    assert metrics["rollout/pass_rate"] == pytest.approx((1 + 0.25 + 0) / 3)
    assert metrics["rollout/solved_all_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/solved_none_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/useful_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/reward"] == pytest.approx(3 / 8)


def test_missing_verdicts_count_for_nothing():
    tally = RolloutStats()
    tally.add(group([1, 0], missing=[0, 1]), kept=False)
    assert "rollout/pass_rate" not in tally.metrics()


def test_nothing_seen_gives_no_mean():
    assert RolloutStats().metrics() == {
        "rollout/groups": 0,
        "rollout/groups_issued": 0,
        "rollout/groups_reused": 0,
        "rollout/refills": 0,
        "rollout/tokens": 0,
    }
