"""Every labelled case of the table, judged in workers as a run would."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from tools.bench_math import MathCase, load

TABLE = Path(__file__).parent / "math_cases.jsonl"
CATEGORIES = (
    "adversarial bases box_forms choice complex decimals degrees empty equations fractions hang "
    "huge inequalities intervals lists matrices mixed_numbers money multi_box near_miss percent "
    "polynomials real_outputs repeating rounding scientific sets styling surds text thousands "
    "time_ratio trig_log tuples unboxed unicode units"
)
HANG_S = 1.5  # deadline of the cases that are made to hang


def verdicts(cases: list[MathCase]) -> list[Verdict]:
    judges = {
        hang: function_of(verifier.bind({"name": "math_equal", "deadline_s": seconds}))
        for hang, seconds in ((True, HANG_S), (False, 10.0))
    }

    async def all_of_them() -> list[Verdict]:
        return await asyncio.gather(
            *(
                judges[case.category == "hang"](
                    Problem(id=str(place), messages=(), answer=case.gold), case.response
                )
                for place, case in enumerate(cases)
            )
        )

    return asyncio.run(all_of_them())


def test_the_table_covers_every_category_with_right_and_wrong_answers() -> None:
    cases = load(TABLE)
    counts = Counter(case.category for case in cases)
    assert sorted(counts) == CATEGORIES.split()
    assert len(cases) >= 3600
    assert min(counts.values()) >= 15
    assert all(case.reason for case in cases)
    assert {case.correct for case in cases} == {True, False}


def test_no_case_stands_in_the_table_twice() -> None:
    rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    keys = Counter((str(row["gold"]), str(row["response"])) for row in rows)
    assert [key for key, times in keys.items() if times > 1] == []


@pytest.mark.slow
def test_every_case_is_judged_as_labelled() -> None:
    cases = load(TABLE)
    judged = list(zip(cases, verdicts(cases), strict=True))
    wrong = [
        f"{case.category}: gold {case.gold[:60]!r}, response {case.response[:90]!r}: "
        f"should be {case.correct} ({case.reason}), got {verdict.correct}: {verdict.reason}"
        for case, verdict in judged
        if verdict.correct is not case.correct
    ]
    assert not wrong, "\n".join(["", *wrong])
    assert not any(verdict.is_missing for _, verdict in judged)
