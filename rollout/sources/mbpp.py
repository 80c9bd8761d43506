"""MBPP and data sets of its kind: a task in words, and asserts that name the function."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Count
from rollout.data.rows import Columns
from rollout.data.tables import Split, Subset, TablePath
from rollout.sources import source
from rollout.sources.dataset import dataset
from rollout.types import Row

_COLUMNS = Columns()


@source.register(paper="https://arxiv.org/abs/2108.07732")
def mbpp(
    *,
    path: TablePath,
    split: Split = "train",
    subset: Subset = "",
    columns: Annotated[
        Columns, Field(description="Names of the columns for prompt, answer and id")
    ] = _COLUMNS,
    tests_shown: Annotated[
        Count, Field(gt=0, description="Maximum number of asserts shown in the prompt")
    ] = 3,
    limit: Annotated[
        Count, Field(description="Maximum number of rows, taken from the start; 0 = all")
    ] = 0,
) -> list[Row]:
    """Rows of `dataset` whose prompt ends with the row's first tests.

    MBPP's prompts do not say what the function is called: without a test to look at, a right
    program fails. The tests are the column `test_list`, in the row or in its column `meta`; the
    paper shows three (Austin et al. 2021).
    """
    rows: list[Row] = []
    for row in dataset(path=path, split=split, subset=subset, columns=columns, limit=limit):
        meta = row.columns.get("meta")
        nested = meta if isinstance(meta, Mapping) else {}
        tests = row.columns.get("test_list") or nested.get("test_list")
        if not isinstance(tests, list) or not tests or not isinstance(row.prompt, str):
            raise RecipeError.of(
                "expected a prompt as text, and a list of asserts in the column 'test_list'",
                where=row.where,
                fix="use the source `dataset` for data without such tests",
            )
        listed = "\n".join(str(test) for test in tests[:tests_shown])
        prompt = f"{row.prompt}\nYour code should pass these tests:\n\n{listed}"
        rows.append(replace(row, prompt=prompt))
    return rows
