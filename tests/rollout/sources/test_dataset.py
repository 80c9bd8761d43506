import json

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import build
from rollout.sources import source

EXAMPLES = [{"path": "rows.jsonl"}]  # the contract writes the file


def load(folder, rows, **options):
    path = folder / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return build(source.bind({"name": "dataset", "path": str(path), **options}))


ROWS = [{"q": f"{i}+1=", "a": i + 1, "level": i % 2} for i in range(4)]
COLUMNS = {"prompt": "q", "answer": "a"}


def test_rows_of_a_file_with_their_columns_mapped(tmp_path):
    rows = load(tmp_path, ROWS, columns=COLUMNS)
    assert [row.prompt for row in rows] == ["0+1=", "1+1=", "2+1=", "3+1="]
    assert [row.answer for row in rows] == ["1", "2", "3", "4"]
    assert rows[3].id == "sums-3"
    assert rows[3].columns == {"level": 1}
    assert rows[3].where.endswith("sums.jsonl:4")


def test_rows_are_dropped_before_the_limit_and_keep_their_ids(tmp_path):
    rows = load(tmp_path, ROWS, columns=COLUMNS, drop_where={"level": [0]}, limit=1)
    assert [row.id for row in rows] == ["sums-1"]


def test_unmapped_columns_are_an_error_that_lists_them(tmp_path):
    with pytest.raises(RecipeError, match=r"no column 'prompt'.*\(columns: q, a, level\)"):
        load(tmp_path, ROWS)


def test_a_misspelt_part_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"columns\.prmpt"):
        load(tmp_path, ROWS, columns={"prmpt": "q"})


def test_fields_inside_columns_of_a_parquet_file_as_verl_writes_it(tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows = [
        {
            "prompt": [{"role": "user", "content": f"{i}+1="}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"index": i},
        }
        for i in range(2)
    ]
    file = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)

    def read(**columns):
        return build(source.bind({"name": "dataset", "path": str(file), "columns": columns}))

    found = read(answer="reward_model.ground_truth", id="extra_info.index")
    assert [(row.id, row.answer, row.prompt[0].content) for row in found] == [
        ("0", "1", "0+1="),
        ("1", "2", "1+1="),
    ]
    with pytest.raises(RecipeError, match=r"train\.parquet\[0\]: columns\.answer: .*field 'truth'"):
        read(answer="reward_model.truth")
