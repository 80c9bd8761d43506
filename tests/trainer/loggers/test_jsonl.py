"""metrics.jsonl: exact, whole lines, each step once after a kill and a resume."""

import json
import math
import re
import resource

import pytest

from recipes.errors import RecipeError
from trainer.loggers import LoggerContext
from trainer.loggers.jsonl import jsonl, read_metrics


def opened(folder, first_step=0):
    return jsonl(
        LoggerContext(folder=folder, run_name="r", recipe={}, total_steps=9, first_step=first_step)
    )


def write(folder, steps):
    one = opened(folder)
    for step in steps:
        one.log(step, {"loss/total": step / 3})
    one.close()


def test_a_number_reads_back_to_the_bit(tmp_path):
    metrics = {"a": 0.1 + 0.2, "b": 1e-323, "c": -2.5e300, "d": 7.0}
    one = opened(tmp_path)
    one.log(1, metrics)
    one.close()
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == [(1, metrics)]


def test_what_json_cannot_say_is_text_that_float_reads(tmp_path):
    one = opened(tmp_path)
    one.log(1, {"up": math.inf, "down": -math.inf, "none": math.nan})
    one.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line == {"step": 1, "up": "Infinity", "down": "-Infinity", "none": "NaN"}
    ((_, read),) = read_metrics(tmp_path / "metrics.jsonl")
    assert read["up"] == math.inf and math.isnan(read["none"])


def test_a_line_is_on_disk_as_soon_as_it_is_logged(tmp_path):
    one = opened(tmp_path)
    one.log(1, {"x": 1.0})
    assert [step for step, _ in read_metrics(tmp_path / "metrics.jsonl")] == [1]
    one.close()


def test_resuming_cuts_the_lines_that_will_be_written_again(tmp_path):
    write(tmp_path, [0, 1, 2, 3, 4])
    one = opened(tmp_path, first_step=3)
    one.log(3, {"loss/total": 9.0})
    one.close()
    found = list(read_metrics(tmp_path / "metrics.jsonl"))
    assert [step for step, _ in found] == [0, 1, 2, 3]
    assert found[-1] == (3, {"loss/total": 9.0})


def test_a_line_cut_by_a_kill_is_dropped(tmp_path):
    write(tmp_path, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 3, "loss/to')
    assert [step for step, _ in read_metrics(path)] == [1, 2]
    one = opened(tmp_path, first_step=3)
    one.log(3, {})
    one.close()
    assert path.read_text().splitlines()[-1] == '{"step": 3}'


def test_a_run_from_the_start_begins_a_new_file(tmp_path):
    write(tmp_path, [0, 1, 2])
    write(tmp_path, [0])
    assert [step for step, _ in read_metrics(tmp_path / "metrics.jsonl")] == [0]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"loss/total": 1}', '{"step": "x"}'])
def test_a_foreign_line_is_named_with_its_number(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(RecipeError, match=r"metrics\.jsonl:2: not a line of metrics"):
        list(read_metrics(path))
    with pytest.raises(RecipeError, match=r"metrics\.jsonl:2"):
        opened(tmp_path, first_step=2)


@pytest.mark.parametrize(
    ("kept", "first_step", "words"),
    [
        ([1, 2, 3], 6, "no line of 2 steps .*first is 4, the last 5"),
        ([], 3, "no line of 2 steps .*first is 1, the last 2"),
        ([1, 3], 4, "no line of 1 steps .*first is 2, the last 2"),
        ([0, 1, 2], 3, ""),
        ([], 0, ""),
    ],
)
def test_a_file_that_was_cut_before_the_checkpoint_is_noticed(
    tmp_path, capsys, kept, first_step, words
):
    if kept:
        write(tmp_path, kept)
    opened(tmp_path, first_step).close()
    said = capsys.readouterr().err
    assert re.search(words, said) if words else said == ""


def test_a_line_that_cannot_be_written_names_the_file_and_what_to_do(tmp_path):
    one = opened(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        one.log(1, {"x": 1.0})
        with pytest.raises(RecipeError, match=r"metrics\.jsonl: step 2 cannot .*space.*--resume"):
            one.log(2, {f"metric_{i}": 1.0 for i in range(20)})
        one.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [step for step, _ in read_metrics(tmp_path / "metrics.jsonl")] == [1]
