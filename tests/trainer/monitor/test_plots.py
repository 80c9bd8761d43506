"""The picture: a PNG from metrics alone, with bars where there are two evaluations."""

import json
import struct

import pytest

from recipes.errors import RecipeError
from trainer.monitor.plots import Bars, bars_of_metrics, picture

pytest.importorskip("matplotlib")


def line(step, **metrics):
    return json.dumps({"step": step, **metrics}) + "\n"


def step_line(step):
    return line(
        step,
        **{
            "reward/mean": step / 10,
            "reward/interval_low": step / 10 - 0.05,
            "reward/interval_high": step / 10 + 0.05,
            "policy/entropy": 1 / step,
            "rollout/length_mean": 20.0,
            "rollout/length_max": 31.0,
        },
    )


def score(value):
    name = "eval/sums/pass@1"
    return {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}


def size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def test_a_run_with_two_evaluations_is_four_panels(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        line(0, **score(0.4)) + step_line(1) + step_line(2) + line(2, **score(0.9))
    )
    width, height = size(picture(tmp_path))
    assert (width, height) == (1430, 858)


def test_a_run_without_evaluations_is_three_panels(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(step_line(1) + step_line(2))
    width, height = size(picture(tmp_path, path=tmp_path / "deep" / "x.png"))
    assert width > 3 * height


def test_a_run_that_logged_nothing_to_draw_still_gives_a_picture(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(line(1, other=1.0))
    assert size(picture(tmp_path))


def test_bars_are_the_first_and_the_last_evaluation():
    lines = [(0, score(0.4)), (1, {"x": 1.0}), (5, score(0.6)), (9, score(0.9))]
    (bars,) = bars_of_metrics(lines)
    assert isinstance(bars, Bars)
    assert (bars.label, bars.before.value, bars.after.value) == ("sums pass@1", 0.4, 0.9)


def test_one_evaluation_is_no_comparison():
    assert bars_of_metrics([(0, score(0.4)), (1, {"x": 1.0})]) == []


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"metrics\.jsonl: no metrics to draw"):
        picture(tmp_path)
