"""MBPP rows: the prompt shows the first asserts, wherever the row keeps them."""

import json

import pytest

from recipes.errors import RecipeError
from rollout.data.rows import Columns
from rollout.sources.mbpp import mbpp

EXAMPLES = [{"path": "rows.jsonl"}]  # the contract writes the file
TESTS = ["assert f(1) == 2", "assert f(2) == 3", "assert f(3) == 4", "assert f(4) == 5"]


def written(tmp_path, row):
    path = tmp_path / "mbpp.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return str(path)


def test_the_prompt_ends_with_the_first_tests(tmp_path):
    path = written(tmp_path, {"id": 7, "prompt": "Add one.", "answer": "x", "test_list": TESTS})
    (row,) = mbpp(path=path)
    assert row.prompt == "\n".join(
        ["Add one.", "Your code should pass these tests:", "", *TESTS[:3]]
    )
    assert (row.id, row.columns["test_list"]) == ("7", TESTS)


def test_the_tests_may_stand_in_meta_and_the_columns_be_named(tmp_path):
    row = {"task_id": 7, "text": "Add one.", "code": "x", "meta": {"test_list": TESTS}}
    columns = Columns(prompt="text", answer="code", id="task_id")
    (found,) = mbpp(path=written(tmp_path, row), columns=columns, tests_shown=1)
    assert found.prompt.endswith("tests:\n\nassert f(1) == 2")
    assert found.answer == "x"


@pytest.mark.parametrize("tests", [{}, {"test_list": []}, {"test_list": "assert 1"}])
def test_a_row_without_tests_is_named(tmp_path, tests):
    path = written(tmp_path, {"prompt": "Add one.", "answer": "x", **tests})
    with pytest.raises(RecipeError, match=r"mbpp\.jsonl:1: expected a prompt as text, and a list"):
        mbpp(path=path)
