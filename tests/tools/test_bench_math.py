"""The side-by-side table."""

import json
from pathlib import Path

import pytest

from tools.bench_math import (
    Judged,
    MathCase,
    judge_both,
    load,
    page_table,
    report,
    summary,
    write_page,
)


def judged(correct: bool, said: bool, ms: float) -> Judged:
    case = MathCase(gold="1", response="1", correct=correct, category="c", reason="r")
    return Judged(case=case, correct=said, missing=False, seconds=ms / 1000)


def test_a_summary_counts_both_kinds_of_errors() -> None:
    line = summary("ours", [judged(True, True, 1), judged(True, False, 2), judged(False, True, 3),
                            judged(False, False, 6)])  # fmt: skip
    assert line.split() == "ours 4 50.0 % 1 / 2 1 / 2 0 3.0 3.0 6".split()  # noqa: SIM905


def test_texts_may_be_written_as_repeated_pieces(tmp_path: Path) -> None:
    row = {"gold": [["1", 3]], "response": [["a", 2], ["b", 1]], "correct": True,
           "category": "huge", "reason": "short"}  # fmt: skip
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (case,) = load(path)
    assert (case.gold, case.response) == ("111", "aab")


@pytest.mark.slow
def test_the_report_puts_both_side_by_side_and_lists_what_ours_misses() -> None:
    cases = [
        MathCase(gold="5", response=r"\boxed{5}", correct=True, category="a", reason="same"),
        MathCase(gold="52", response=r"\boxed{52_8}", correct=False, category="b", reason="base"),
        MathCase(gold="5", response=r"\boxed{6}", correct=True, category="b", reason="mislabelled"),
    ]
    text = report(judge_both(cases))
    plain = next(line for line in text.splitlines() if line.startswith("all, math-verify"))
    ours = next(line for line in text.splitlines() if line.startswith("all, math_equal"))
    assert "33.3 %" in plain
    assert "66.7 %" in ours
    assert "math_equal misses: '5'" in text


def test_a_page_gets_the_measured_table_between_its_comments(tmp_path: Path) -> None:
    said = [judged(True, True, 1), judged(True, False, 2), judged(False, True, 6)]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    write_page(page, page_table({"ours": said}))
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    assert lines[4] == "| all, 3 | ours | 33.3% | 1 / 1 | 1 / 2 | 0 | 3.0 | 2.0 | 6 | 6 |"
    assert lines[5] == "| undisputed, 3 | ours | 33.3% | 1 / 1 | 1 / 2 | 0 | 3.0 | 2.0 | 6 | 6 |"
