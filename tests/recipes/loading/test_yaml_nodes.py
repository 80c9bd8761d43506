"""Strict YAML: what a scalar means, what is refused and where, how two layers meet."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.errors import RecipeError
from recipes.loading.yaml_nodes import Kind, YamlNode, dump, merge, merge_files, parse


def read(text: str, kind: Kind = "recipe") -> YamlNode:
    return parse(text, "a.yaml", kind)


def error_of(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 0.0003),
        ("1e-6", 0.000001),
        ("1E5", 100000.0),
        ("1e5", 100000.0),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("0", 0),
        ("-7", -7),
        ("+3", 3),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_numbers_are_what_python_calls_numbers(text: str, value: float) -> None:
    found = read(f"a: {text}").plain()["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    ["010", "0x10", "0b1", "0o7", "1__0", "_1", "1_", "1:30", "190:20:30", "2024-01-31", "1e", ".",
     "e5", "1.2.3", "inf", "nan", ".nan", "="],
)  # fmt: skip
def test_everything_else_that_yaml_calls_a_number_or_a_date_stays_text(text: str) -> None:
    assert read(f"a: {text}").plain()["a"] == text


@pytest.mark.parametrize("text", ["3e-4", "-0.0", "12", "1E+2", "true", "null", '"on"', "[1, 2]"])
def test_json_means_the_same_as_in_json(text: str) -> None:
    found = read(f"a: {text}").plain()["a"]
    assert found == json.loads(text)
    assert type(found) is type(json.loads(text))


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "y", "n", "True", "FALSE", "Null"])
def test_only_true_and_false_are_booleans_and_only_null_is_null(text: str) -> None:
    assert read(f"a: {text}").plain()["a"] == text
    assert read("[true, false, null, ~]").plain() == [True, False, None, None]


def test_words_that_yaml_reads_as_booleans_are_fine_as_keys() -> None:
    assert read("on: 1\nno: 2\n").plain() == {"on": 1, "no": 2}


def test_a_quoted_number_is_text() -> None:
    assert read("a: '3'").plain() == {"a": "3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "a.yaml:3: 'a' is given twice, first on line 1; keep one of them"),
        ("a:\n  b: 1\n  b: 1", "a.yaml:3: 'b' is given twice, first on line 2; keep one of them"),
        ("a: {b: 1, b: 2}", "a.yaml:1: 'b' is given twice, first on line 1; keep one of them"),
        ("a:\n\tb: 1", "a.yaml:2: not strict YAML: found character '\\t' that cannot start any "
         "token; indent with spaces"),
        ("a: 1\n b: 2", "a.yaml:2: not strict YAML: mapping values are not allowed here; quote "
         "text that holds `: `"),
        ("a: [1, 2", "a.yaml:1: not strict YAML: expected ',' or ']', but got '<stream end>'; "
         "close the bracket or the quote"),
        ("a: &x 1", "a.yaml:1: not strict YAML: anchors are not part of recipes; write the value "
         "out, or put it into a fragment and name that under extends"),
        ("b: 1\na: *x", "a.yaml:2: not strict YAML: anchors are not part of recipes; write the "
         "value out, or put it into a fragment and name that under extends"),
        ("a: !!python/name:os.system", "a.yaml:1: not strict YAML: tags are not part of recipes; "
         "write the value without `!`, or quote it when it is text"),
        ("a: 1\n---\nb: 1", "a.yaml:2: not strict YAML: but found another document; one recipe a "
         "file: take out the `---` line"),
        ("a: 1\nb.c: 1", "a.yaml:2: the key 'b.c' holds a dot; nest the settings in the file; dots "
         "belong to --set"),
        ("1: a", "a.yaml:1: the key '1' is not a word; quote it, or write `key: value`"),
        ("? [a]\n: 1", "a.yaml:1: this key is not a word; quote it, or write `key: value`"),
        ("a: 1\nb: \x01", "a.yaml:2: not text: character U+0001 is not allowed in a recipe; "
         "remove it"),
        ("a: 1\nb: .inf", "a.yaml:2: an infinite number; write the number that is meant"),
        ("b: -1e999", "a.yaml:1: an infinite number; write the number that is meant"),
        ("a: 9223372036854775808", "a.yaml:1: the number 9223372036854775808 does not fit in 64 "
         "bits; write a smaller one"),
        ("\na: " + "9" * 5000, "a.yaml:2: a number of 5000 digits does not fit in 64 bits; write a "
         "smaller one"),
        ('a: 1\nb: "\\ud800"', "a.yaml:2: not text: an escape names half of a character, \\ud800 "
         "to \\udfff; write the character itself"),
        ('"\\udc00": 1', "a.yaml:1: not text: an escape names half of a character, \\ud800 to "
         "\\udfff; write the character itself"),
        ('a: 1\nb: "\\U00110000"', "a.yaml:2: not strict YAML: an escape that names no character; "
         "write the character itself, or double the backslash"),
        ("a: 1\nb: " + "[" * 400, "a.yaml:2: not strict YAML: more than 40 levels; settings need a "
         "few levels: write the value out flat"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_remedy(text: str, message: str) -> None:
    assert error_of(text) == message


def test_merge_keys_are_plain_keys() -> None:
    assert read("<<: {a: 1}").plain() == {"<<": {"a": 1}}


def test_a_value_remembers_the_line_of_its_key_and_a_list_item_its_own() -> None:
    text = "optimizer:\n  lr:\n    name: linear\nterms:\n  - name: kl_k3\n    coef: 0.1\n"
    places = {path: source.line for path, source in read(text).walk()}
    assert places == {
        "": 1,
        "optimizer": 1,
        "optimizer.lr": 2,
        "optimizer.lr.name": 3,
        "terms": 4,
        "terms.0": 5,
        "terms.0.name": 5,
        "terms.0.coef": 6,
    }


def merged(below: str, above: str) -> object:
    return merge(read(below), read(above)).plain()


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        # mappings merge, at every depth
        ("a: {b: 1, c: {d: 2}}", "a: {c: {e: 3}}", {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        # lists and scalars replace
        ("a: [1, 2, 3]", "a: [4]", {"a": [4]}),
        ("a: {b: 1}", "a: 2", {"a": 2}),
        ("a: 2", "a: {b: 1}", {"a": {"b": 1}}),
        # null takes away what is below; where there is nothing it is a value
        ("a: {b: 1}", "a: null", {}),
        ("a: {b: 1, c: 2}", "a: {b: null}", {"a": {"c": 2}}),
        ("s: {name: f, x: 1}", "s: {x: null}", {"s": {"name": "f"}}),
        ("a: 1", "b: null", {"a": 1, "b": None}),
        # an entry with a name replaces the whole entry
        ("s: {name: f, x: 1}", "s: {name: f, y: 2}", {"s": {"name": "f", "y": 2}}),
        ("s: {name: f, x: 1}", "s: {name: g, y: 2}", {"s": {"name": "g", "y": 2}}),
        ("s: {name: f, x: 1}", "s: {y: 2}", {"s": {"name": "f", "x": 1, "y": 2}}),
        ("s: {x: 1}", "s: {name: f}", {"s": {"name": "f", "x": 1}}),
        # a bare word is an entry without options
        ("s: f", "s: {y: 2}", {"s": {"name": "f", "y": 2}}),
        ("s: f", "s: {name: g, y: 2}", {"s": {"name": "g", "y": 2}}),
        ("s: {name: f, x: 1}", "s: f", {"s": "f"}),
        ("s: {name: f, x: 1}", "s: g", {"s": "g"}),
        # texts are not entries as long as nobody gives them options
        ("p: runs/a", "p: runs/a", {"p": "runs/a"}),
        ("p: runs/a", "p: runs/b", {"p": "runs/b"}),
        ("p: {path: runs/a}", "p: runs/a", {"p": "runs/a"}),
    ],
)
def test_two_layers_meet(below: str, above: str, expected: object) -> None:
    assert merged(below, above) == expected


def test_a_file_is_not_a_slot_entry_whatever_its_settings_are_called() -> None:
    below, above = read("name: sums\nsamples: 4"), read("name: mine\nk: null")
    assert merge_files(below, above).plain() == {"name": "mine", "samples": 4, "k": None}


def test_nesting_within_the_limit_is_read() -> None:
    assert read("a: " + "[" * 38 + "]" * 38).plain()["a"]


def test_merging_leaves_both_layers_as_they_were() -> None:
    below, above = read("a: {b: 1}"), read("a: {c: 2}")
    merge(below, above)
    assert below.plain() == {"a": {"b": 1}}
    assert above.plain() == {"a": {"c": 2}}


def test_an_entry_stays_where_its_name_was_written() -> None:
    below = parse("s: {name: f, x: 1}", "below.yaml", "fragment")
    above = parse("\ns: {x: 2, y: 3}", "above.yaml", "recipe")
    places = {path: source.where for path, source in merge(below, above).walk()}
    assert places == {
        "": "above.yaml:2",
        "s": "below.yaml:1",
        "s.name": "below.yaml:1",
        "s.x": "above.yaml:2",
        "s.y": "above.yaml:2",
    }


WORDS = st.text(string.printable[:95] + "äπ中", max_size=12).filter(lambda w: "." not in w)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable[:97] + "äπ中", max_size=20)
    | st.sampled_from(
        ["3e-4", "on", "true", "null", "~", "1_000", ".inf", "=", "- a", "a: b", "#"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS.filter(bool), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(WORDS.filter(bool), VALUES, max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_is_dumped_reads_back_as_it_was(tree: dict[str, object]) -> None:
    assert repr(read(dump(tree)).plain() or {}) == repr(tree)
