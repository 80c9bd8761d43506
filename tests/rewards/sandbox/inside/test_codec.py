"""Plain data survives the way out of the sandbox; anything else comes as a handle."""

import array
import collections
import datetime
import enum
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rewards.sandbox.inside.codec import (
    ALL_TYPES,
    DATA_TYPES,
    MAX_DEPTH,
    Decoder,
    Encoder,
    NotPlain,
)


def handled(value: Any) -> Any:
    return {"o": [7, type(value).__name__]}


def there_and_back(value: Any) -> Any:
    sent = json.dumps(Encoder(handled, types=ALL_TYPES).encode(value))
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


UTC_2 = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.50"), Decimal("-Infinity"), Decimal("0E+3"), Fraction(-3, 7), Fraction(2**70, 3),
        collections.deque([1, "a"]), collections.deque([1], maxlen=3), array.array("d", [0.5, 2.0]),
        array.array("i", [1, -2]), datetime.date(2024, 2, 29), datetime.timedelta(-1, 3, 5),
        datetime.datetime(2024, 2, 29, 23, 59, 58, 7), datetime.time(1, 2, 3, 4, fold=1),
        datetime.datetime(2024, 1, 1, tzinfo=UTC_2), [Decimal(1), {Fraction(1, 2): None}],
    ],
)  # fmt: skip
def test_values_of_the_standard_library_come_back_equal_and_of_their_own_type(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2, 3]), np.zeros((2, 0, 3)), np.array([[True], [False]]),
        np.array(["a", "bcd"]), np.array([1 + 2j], dtype=np.complex64),
        np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::2],
        np.array(["2024-02-29"], dtype="datetime64[D]"),
    ],
)  # fmt: skip
def test_an_array_comes_back_with_its_type_and_shape(value: Any) -> None:
    back = there_and_back(value)
    assert back.dtype == value.dtype
    assert back.shape == value.shape
    assert (back == value).all()


def test_an_array_of_objects_is_no_data() -> None:
    assert there_and_back(np.array([object()])) == (7, "ndarray")


@pytest.mark.parametrize(
    "message",
    [
        {"numpy": ["O", [1], "00" * 8]},
        {"numpy": ["<i8", [2], "00" * 8]},
        {"array": ["i", [2**40]]},
        {"Decimal": "one"},
        {"Fraction": ["1", "0"]},
        {"date": [2024, 2, 30]},
        {"timedelta": [10**12, 0, 0]},
        {"p": "memoryview"},
        {"p": "object"},
    ],
)
def test_forged_data_is_an_error_and_no_value(message: Any) -> None:
    with pytest.raises((ValueError, LookupError, ArithmeticError, OverflowError)):
        Decoder(lambda number, kind: None, types=DATA_TYPES).decode(message)


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
        Encoder(handled, types=ALL_TYPES).encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotPlain):
        Encoder(handled, types=ALL_TYPES).encode(value)


@pytest.mark.parametrize(
    "message",
    [{"p": "print"}, {"p": "nothing"}, {"x": 1}, {}, {"t": 4}, {"d": [[1]]}, {"s": [[1]]}],
)
def test_a_forged_message_is_an_error_and_no_value(message: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Decoder(lambda number, kind: None, types=DATA_TYPES).decode(message)


def test_a_single_number_of_numpy_is_a_number() -> None:
    back = there_and_back([np.int64(3), np.bool_(True), np.float32(0.5)])
    assert back == [3, True, 0.5]
    assert [type(value) for value in back] == [int, bool, float]
