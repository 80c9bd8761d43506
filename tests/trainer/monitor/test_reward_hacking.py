import json

import pytest
from pydantic import ValidationError

from recipes.errors import RecipeError
from trainer.monitor.reward_hacking import RewardHackingMonitor, alarms
from trainer.recipe.monitoring import WatchSpec

LENGTH = {"metric": "rollout/length_mean", "max_growth": 1.5}
STRICT = {"metric": "watch/strict", "max_fall": 0.05}
REPEATS = {"metric": "watch/repetition", "max_rise": 0.1}


def spec(*bounds, **settings):
    tree = {"bounds": list(bounds), "window": 4, "verifiers": {"strict": "exact"}, **settings}
    return WatchSpec.model_validate_json(json.dumps(tree))


def history(reward=(0.2, 0.2, 0.4, 0.4), **metrics):
    """Four steps; a name's `__` is a slash."""
    lines = [{"rollout/reward": value} for value in reward]
    for name, values in metrics.items():
        for line, value in zip(lines, values, strict=True):
            if value is not None:
                line[name.replace("__", "/")] = value
    return lines


@pytest.mark.parametrize(
    ("bound", "name", "values", "alarmed"),
    [
        (LENGTH, "rollout__length_mean", (100, 100, 151, 151), True),
        (LENGTH, "rollout__length_mean", (100, 100, 150, 150), False),
        (STRICT, "watch__strict", (0.3, 0.3, 0.2, 0.28), True),  # 0.3 to 0.24
        (STRICT, "watch__strict", (0.3, 0.3, 0.26, 0.26), False),
        (REPEATS, "watch__repetition", (0.0, 0.2, 0.2, 0.3), True),  # 0.1 to 0.25
        (REPEATS, "watch__repetition", (0.0, 0.2, 0.2, 0.18), False),
    ],
)
def test_a_bound_compares_the_halves_while_the_reward_rises(bound, name, values, alarmed):
    assert bool(alarms(history(**{name: values}), spec(bound))) is alarmed


def test_an_alarm_names_all_numbers():
    [text] = alarms(history(watch__strict=(0.5, 0.5, 0.25, 0.25)), spec(STRICT))
    assert text == (
        "rollout/reward rose from 0.2 to 0.4 while watch/strict went from 0.5 to 0.25 "
        "(may fall by 0.05)"
    )


def test_no_alarm_while_the_reward_does_not_rise():
    longer = {"rollout__length_mean": (100, 100, 900, 900)}
    assert not alarms(history((0.2, 0.2, 0.2, 0.2), **longer), spec(LENGTH))
    assert not alarms(history((0.2, 0.2, 0.21, 0.21), **longer), spec(LENGTH))
    assert alarms(history((0.2, 0.2, 0.21, 0.21), **longer), spec(LENGTH, min_rise=0.005))


def test_no_alarm_before_the_window_is_full():
    assert not alarms(history()[:3], spec(LENGTH))


def test_a_metric_that_is_logged_now_and_then_counts_where_it_is():
    rare = history(watch__strict=(0.5, None, None, 0.1))
    assert alarms(rare, spec(STRICT))
    assert not alarms(history(watch__strict=(0.5, 0.5, None, None)), spec(STRICT))


def test_a_metric_that_never_came_is_a_mistake():
    with pytest.raises(
        RecipeError, match=r"watch.bounds.0.metric: no metric called 'rollout/length_"
    ):
        alarms(history(), spec(LENGTH))


def test_alarms_in_a_row_end_the_run():
    watch = RewardHackingMonitor(spec(STRICT, patience=2))
    falling = [0.5, 0.5, 0.3, 0.3, 0.2]
    over = []
    for step, strict in enumerate(falling):
        watch.observe({"rollout/reward": 0.1 * step, "watch/strict": strict, "loss/total": 1.0})
        over.append(watch.is_over)
    assert over == [False, False, False, False, True]


def test_without_a_stop_it_only_logs():
    watch = RewardHackingMonitor(spec(STRICT, patience=1, stop=False))
    for line in history(watch__strict=(0.5, 0.5, 0.1, 0.1)):
        found = watch.observe(line)
    assert found and not watch.is_over


def test_it_goes_on_from_a_checkpoint():
    lines = history((0.1, 0.2, 0.3, 0.4, 0.5), watch__strict=(0.5, 0.5, 0.3, 0.3, 0.2))
    whole, first, second = (RewardHackingMonitor(spec(STRICT, patience=2)) for _ in range(3))
    for line in lines[:3]:
        whole.observe(line)
        first.observe(line)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for line in lines[3:]:
        assert whole.observe(line) == second.observe(line)
    assert whole.is_over and second.is_over


def test_it_is_off_unless_asked_for():
    assert not WatchSpec().asks
    assert RewardHackingMonitor(WatchSpec()).observe({}) == []


def refused(**tree):
    with pytest.raises((RecipeError, ValidationError)) as caught:
        WatchSpec.model_validate_json(json.dumps(tree))
    return str(caught.value)


def test_a_bound_must_bound_something():
    assert "the bound on loss/total" in refused(bounds=[{"metric": "loss/total"}])


def test_its_own_metrics_must_exist():
    text = refused(
        bounds=[{"metric": "watch/strct", "max_fall": 0.1}], verifiers={"strict": "exact"}
    )
    assert "no verifier of the watch gives watch/strct" in text
    assert "did you mean 'watch/strict'" in text
