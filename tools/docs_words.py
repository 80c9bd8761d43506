"""Docstrings and option types in the words of the generated pages."""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from recipes.slots.options import NestedHook, ScheduledHook
from recipes.slots.registry import to_plain
from recipes.slots.spec import ScheduledMarker

# A full stop ends a sentence where a capital, code or a bracket follows, but not after these.
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\bDr\.)(?<!\bal\.)(?<!\bvs\.)\s+(?=[A-Z`(\[])")
_LABELS = {"returns": "Returns ", "departures": "Departure", "confidence": "Confidence:"}


@dataclass(frozen=True, kw_only=True)
class Docstring:
    """A slot function's docstring, by what its sentences are about."""

    summary: str  # the first sentence
    body: str  # how it differs from its neighbour, degenerate cases
    returns: str
    departures: str  # from the paper
    confidence: str  # in the formula, where the paper's own text was not at hand

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Docstring":
        text = " ".join((inspect.getdoc(function) or "").split())
        summary, *rest = _SENTENCE.split(text)
        labelled = {
            name: " ".join(_unlabelled(s) for s in rest if s.startswith(label))
            for name, label in _LABELS.items()
        }
        body = " ".join(s for s in rest if not s.startswith(tuple(_LABELS.values())))
        return cls(summary=summary, body=body, **labelled)


def _unlabelled(sentence: str) -> str:
    """`Departure: log ratios are held` -> `log ratios are held`."""
    return re.sub(r"^(Returns|Departures?:?|Confidence:)\s+", "", sentence)


def type_words(option: FieldInfo) -> str:
    """`float > 0, or a schedule`; `` `tv` or `kl` ``; `list of float`."""
    return _words(option.annotation, option.metadata)


def _words(annotation: Any, marks: Iterable[Any]) -> str:
    marks = list(marks)
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return _words(annotation, [*more, *marks])
    if any(isinstance(mark, NestedHook) for mark in marks):
        return "another entry, `{name: ..., options}`"
    bounds = " and ".join(_bounds(marks))
    words = " ".join(part for part in (_plain_words(annotation), bounds) if part)
    changes = any(isinstance(mark, ScheduledMarker | ScheduledHook) for mark in marks)
    return f"{words}, or a schedule" if changes else words


def _plain_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part, ()) for part in inner)
    if origin in (list, tuple, set, frozenset):
        return f"list of {_words(inner[0], ())}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping to {_words(inner[1], ())}"
    if annotation is Any:
        return "any value"
    return "null" if annotation is type(None) else str(annotation.__name__)


def _bounds(marks: Iterable[Any]) -> Iterator[str]:
    """The narrowest limits that an option declares; a kind of number brings wider ones along."""
    lower: list[tuple[float, bool]] = []
    upper: list[tuple[float, bool]] = []
    for mark in chain.from_iterable(
        mark.metadata if isinstance(mark, FieldInfo) else [mark] for mark in marks
    ):
        match mark:
            case Gt(gt=int() | float() as limit):
                lower.append((limit, True))
            case Ge(ge=int() | float() as limit):
                lower.append((limit, False))
            case Lt(lt=int() | float() as limit):
                upper.append((-limit, True))
            case Le(le=int() | float() as limit):
                upper.append((-limit, False))
    if lower:
        limit, strict = max(lower)
        yield f"{'>' if strict else '>='} {_power(limit)}"
    if upper:
        limit, strict = max(upper)
        yield f"{'<' if strict else '<='} {_power(-limit)}"


def _power(limit: float) -> str:
    """A limit as it is written: `10^6` where digits would have to be counted."""
    for exponent in range(5, 10):
        if abs(limit) == 10**exponent:
            return f"{'-' if limit < 0 else ''}10^{exponent}"
    return str(limit)


def default_words(option: FieldInfo) -> str:
    """The default as a recipe would write it, in code; "required" where there is none."""
    if option.is_required():
        return "required"
    value = to_plain(option.get_default(call_default_factory=True))
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{shown}`" if shown else "empty"


def markdown(text: str) -> str:
    """A docstring as Markdown: outside code nothing reads as HTML or emphasis."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*")
        for part in parts
    )


def cell(text: str) -> str:
    """The same for a table's cell."""
    return markdown(text).replace("|", "\\|")
