"""Plain data survives the way out of the sandbox; anything else comes as a handle."""

import collections
import enum
import json
from typing import Any

import numpy as np
import pytest

from rewards.sandbox.inside.codec import MAX_DEPTH, Decoder, Encoder, NotPlain


def handled(value: Any) -> Any:
    return {"o": [7, type(value).__name__]}


def there_and_back(value: Any) -> Any:
    sent = json.dumps(Encoder(handled).encode(value))
    return Decoder(lambda number, kind: (number, kind)).decode(json.loads(sent))


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -5, 2**63, -(2**100), 0.1, -0.0, float("inf"), "", "a\nb", "\ud800",
        b"", b"\x00\xff", bytearray(b"ab"), 1 + 2j, range(1, 10, 3), [], [1, [2, (3,)]], (),
        (1, "a"), {}, {"a": 1, 2: [3], (4, 5): None}, set(), {1, "a"}, frozenset({1, 2}), int, str,
    ],
)  # fmt: skip
def test_plain_data_comes_back_equal_and_of_its_own_type(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


def test_not_a_number_comes_back_as_one() -> None:
    back = there_and_back(float("nan"))
    assert back != back


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.namedtuple("Pair", "x y")(1, 2), (1, 2)),
        (enum.IntEnum("Level", ["LOW", "HIGH"]).HIGH, 2),  # type: ignore[attr-defined]
        (type("Liar", (int,), {"__eq__": lambda self, other: True})(3), 3),
        (type("Liar", (list,), {"__iter__": lambda self: iter([9])})([1]), [1]),
        (type("Liar", (str,), {"__str__": lambda self: "other"})("own"), "own"),
    ],
)
def test_a_subclass_travels_as_the_data_of_its_base(value: Any, plain: Any) -> None:
    back = there_and_back(value)
    assert back == plain
    assert type(back) is type(plain)


def test_an_iterator_comes_back_as_an_iterator_and_so_equals_no_list() -> None:
    back = there_and_back(n * n for n in range(4))
    assert back != [0, 1, 4, 9]
    assert list(back) == [0, 1, 4, 9]


def test_views_of_a_dict_come_back_as_views() -> None:
    table = {"a": 1, "b": 2}
    assert there_and_back(table.keys()) == table.keys()
    assert list(there_and_back(table.values())) == [1, 2]
    assert there_and_back(table.items()) == table.items()


def test_an_object_travels_as_a_handle() -> None:
    class Node:
        pass

    assert there_and_back([Node()]) == [(7, "Node")]


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(NotPlain):
        Encoder(handled).encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotPlain):
        Encoder(handled).encode(value)


@pytest.mark.parametrize(
    "message",
    [{"p": "print"}, {"p": "nothing"}, {"x": 1}, {}, {"t": 4}, {"d": [[1]]}, {"s": [[1]]}],
)
def test_a_forged_message_is_an_error_and_no_value(message: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Decoder(lambda number, kind: None).decode(message)


def test_a_single_number_of_numpy_is_a_number() -> None:
    back = there_and_back([np.int64(3), np.bool_(True), np.float32(0.5)])
    assert back == [3, True, 0.5]
    assert [type(value) for value in back] == [int, bool, float]
