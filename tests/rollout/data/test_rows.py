import pytest

from recipes.errors import RecipeError
from rewards.types import Message
from rollout.data.rows import Columns, drop_rows, to_rows
from rollout.data.tables import Line


def lines(*values):
    return [Line(where=f"f:{i + 1}", number=i, values=v) for i, v in enumerate(values)]


def rows(*values, name="f", **columns):
    return to_rows(lines(*values), Columns(**columns), name=name)


def faults(*values, **columns):
    with pytest.raises(RecipeError) as caught:
        rows(*values, **columns)
    return caught.value.faults


def test_mapped_columns_leave_and_the_others_stay():
    [row] = rows({"question": "1+1?", "gold": 2, "level": 3, "id": "a"}, prompt="question",
                 answer="gold")  # fmt: skip
    assert (row.id, row.prompt, row.answer, row.where) == ("a", "1+1?", "2", "f:1")
    assert row.columns == {"level": 3}


def test_rows_without_ids_are_numbered():
    found = rows({"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": "2"}, name="gsm")
    assert [row.id for row in found] == ["gsm-0", "gsm-1"]


def test_messages_are_a_prompt():
    prompt = [{"role": "system", "content": "short"}, {"role": "user", "content": "1+1?"}]
    [row] = rows({"prompt": prompt, "answer": "2"})
    assert row.prompt == (
        Message(role="system", content="short"),
        Message(role="user", content="1+1?"),
    )


def test_a_list_of_answers_is_one_answer_with_commas():
    one, two = rows({"prompt": "a", "answer": ["3"]}, {"prompt": "b", "answer": ["$x$", 4]})
    assert (one.answer, two.answer) == ("3", "$x$, 4")


def test_data_without_gold_answers_says_so():
    [row] = rows({"prompt": "a", "tests": ["t"]}, answer="")
    assert row.answer == ""
    assert row.columns == {"tests": ["t"]}


def test_a_column_that_no_row_has_is_one_fault_that_lists_the_columns():
    [fault] = faults({"problem": "a", "answer": "1"}, {"problem": "b", "answer": "2"})
    assert fault.path == "columns.prompt"
    assert fault.what == "f has no column 'prompt'"
    assert fault.fix == (
        "did you mean 'problem'? name the column of the prompt, `columns: {prompt: ...}` "
        "(columns: problem, answer)"
    )


def test_an_id_column_that_was_asked_for_must_exist():
    [fault] = faults({"prompt": "a", "answer": "1", "uid": 1}, id="uuid")
    assert (fault.path, fault.what) == ("columns.id", "f has no column 'uuid'")


def test_the_column_of_the_verifier_may_be_empty_and_is_text():
    one, two = rows(
        {"prompt": "a", "answer": "1", "kind": "code"},
        {"prompt": "b", "answer": "1", "kind": None},
        verifier="kind",
    )
    assert (one.verifier, two.verifier, one.columns) == ("code", "", {})
    [fault] = faults({"prompt": "a", "answer": "1", "kind": 3}, verifier="kind")
    assert fault.what == "column 'kind' holds 3, expected the name of a verifier"
    [fault] = faults({"prompt": "a", "answer": "1", "kind": "x"}, verifier="knd")
    assert str(fault).endswith("did you mean 'kind'? (columns: prompt, answer, kind)")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"prompt": " ", "answer": "1"}, "column 'prompt' is empty"),
        ({"prompt": [], "answer": "1"}, "column 'prompt' is empty"),
        ({"answer": "1"}, "no column 'prompt'"),
        ({"prompt": 3, "answer": "1"}, "column 'prompt' holds 3, expected text or a list of"),
        ({"prompt": ["hi"], "answer": "1"}, "message 0 of column 'prompt' is 'hi'"),
        ({"prompt": [{"role": "robot", "content": "x"}], "answer": "1"}, "message 0 of column"),
        ({"prompt": [{"role": "user", "content": None}], "answer": "1"}, "message 0 of column"),
        (
            {"prompt": [{"role": "assistant", "content": "x"}], "answer": "1"},
            "the last message of column 'prompt' is the assistant's",
        ),
        ({"prompt": "a", "answer": ""}, "column 'answer' is empty"),
        ({"prompt": "a", "answer": None}, "column 'answer' is empty"),
        ({"prompt": "a", "answer": True}, "column 'answer' holds True, expected text or"),
        ({"prompt": "a", "answer": []}, "column 'answer' holds [], expected text or"),
        ({"prompt": "a", "answer": ["1", ""]}, "column 'answer' holds ['1', ''], expected text"),
        ({"prompt": "a", "answer": [["1"]]}, "column 'answer' holds [['1']], expected text or"),
    ],
)
def test_a_broken_cell_is_named_with_its_line(row, what):
    [fault] = faults({"prompt": "a", "answer": "1"}, row)
    assert fault.where == "f:2"
    assert fault.what.startswith(what)
    assert fault.fix


def test_all_faults_of_all_rows_come_together():
    found = faults({"prompt": "", "answer": ""}, {"prompt": "a", "answer": ""})
    assert [fault.where for fault in found] == ["f:1", "f:1", "f:2"]


def test_some_rows_without_an_id_are_faults():
    [fault] = faults({"prompt": "a", "answer": "1", "id": 7}, {"prompt": "b", "answer": "1"})
    assert fault.where == "f:2"
    assert fault.what == "column 'id' holds None, expected an id"


def test_drop_where_takes_rows_out():
    table = lines({"level": 1, "kind": "a"}, {"level": 2, "kind": "a"}, {"level": 3, "kind": "b"})
    left = drop_rows(table, {"level": [1], "kind": ["b", "c"]})
    assert [line.number for line in left] == [1]
    with pytest.raises(
        RecipeError, match=r"drop_where\.leevel: the data has no column 'leevel'.*'level'"
    ):
        drop_rows(table, {"leevel": [1]})
    with pytest.raises(RecipeError, match="drops every row"):
        drop_rows(table, {"level": [1, 2, 3]})


VERL = {
    "prompt": [{"role": "user", "content": "1+1?"}],
    "reward_model": {"style": "rule", "ground_truth": "2"},
    "extra_info": {"index": 7, "split": "train"},
}


def test_a_field_inside_a_column_is_named_with_a_dot():
    [row] = rows(VERL, answer="reward_model.ground_truth", id="extra_info.index")
    assert (row.answer, row.id) == ("2", "7")
    assert row.columns == {key: VERL[key] for key in ("reward_model", "extra_info")}


def test_a_column_whose_name_has_a_dot_comes_before_a_field():
    [row] = rows({"prompt": "a", "a.b": "1", "a": {"b": "2"}}, answer="a.b")
    assert (row.answer, row.columns) == ("1", {"a": {"b": "2"}})


def test_a_field_that_no_row_has_is_one_fault_with_the_first_row_and_what_is_there():
    [fault] = faults(VERL, VERL, answer="reward_model.truth")
    assert str(fault) == (
        "f:1: columns.answer: column 'reward_model' has no field 'truth' "
        "(fields: style, ground_truth); correct the name; `column.field` reads a field inside a "
        "column"
    )
    [fault] = faults(VERL, answer="reward_modl.ground_truth")
    assert fault.what == "f has no column 'reward_modl'"
    assert fault.fix.startswith("did you mean 'reward_model'? ")
    [fault] = faults(VERL, answer="prompt.content")
    assert "which has no field 'content'" in fault.what


def test_a_field_that_one_row_lacks_names_that_row_and_the_missing_part():
    answer = "reward_model.ground_truth"
    bare, flat, empty = ({**VERL, "reward_model": x} for x in ({"style": "rule"}, "2", None))
    found = faults(VERL, bare, flat, empty, {"prompt": "b"}, answer=answer)
    assert [(fault.where, fault.what) for fault in found] == [
        ("f:2", "column 'reward_model' has no field 'ground_truth' (fields: style)"),
        ("f:3", "column 'reward_model' holds '2', which has no field 'ground_truth'"),
        ("f:4", "column 'reward_model' holds None, which has no field 'ground_truth'"),
        ("f:5", "no column 'reward_model'"),
    ]


def test_rows_are_dropped_by_a_field_too():
    other = {**VERL, "extra_info": {"split": "test"}}
    [left] = drop_rows(lines(VERL, other), {"extra_info.split": ["test"]})
    assert left.where == "f:1"
