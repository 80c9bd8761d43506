"""A registered function, the same with a recipe's options, and the ways to call it."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from types import CodeType
from typing import Any

from pydantic import BaseModel

from recipes.slots.spec import JSON, Requires


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A function of a slot, with everything that `check`, `explain` and the docs need."""

    slot: str
    name: str
    function: Callable[..., Any]
    schema: type[BaseModel]  # of its options
    numbers: frozenset[str]  # options that may be schedules or controllers
    counts: frozenset[str]  # those of them that are rounded to int
    needs: tuple[str, ...]  # batch fields to compute first; "{to}_logprobs" follows option `to`
    paper: str  # link; empty when it has none
    tags: frozenset[str]
    requires: tuple[Requires, ...]  # of other slots of the recipe
    minibatch_stats: Callable[..., Any] | None  # what it must know of the whole minibatch
    validate: Callable[..., None] | None  # looks at all options at once, if they must agree
    on_run_start: Callable[..., None] | None = None  # looks for what the options name, before a run
    renamed: Mapping[str, str] = field(
        default_factory=dict
    )  # old option name -> the one it has now
    row_verifiers: Callable[..., Collection[str]] | None = None  # names that a data row may give

    @property
    def file(self) -> str:
        return self._code.co_filename

    @property
    def line(self) -> int:
        return self._code.co_firstlineno

    @property
    def _code(self) -> CodeType:
        code: CodeType = inspect.unwrap(self.function).__code__
        return code

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


@dataclass(frozen=True, kw_only=True)
class SlotEntry:
    """A registered function with validated options; Scheduled options are still unresolved.

    options: values as the schema validated them. A Scheduled is a float or a SlotEntry of
    the `number` registry; a nested slot entry is a SlotEntry of that slot's registry.
    given: the names that the recipe set, the others are defaults.
    """

    entry: Registered
    options: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.entry.name

    def options_marked(self, mark: type) -> list[str]:
        """The options whose annotation holds a `mark`."""
        fields = self.entry.schema.model_fields
        return [n for n, f in fields.items() if any(isinstance(m, mark) for m in f.metadata)]

    @property
    def needs(self) -> tuple[str, ...]:
        """Batch fields that somebody must compute first, given these options."""
        return tuple(need.format(**self.options) for need in self.entry.needs)


def to_plain(value: Any) -> JSON:
    """A bound entry, or any option value, as plain JSON, every default written out."""
    match value:
        case SlotEntry():
            return {"name": value.name, **{k: to_plain(v) for k, v in value.options.items()}}
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {k: to_plain(v) for k, v in value.items()}
        case list() | tuple():
            return [to_plain(v) for v in value]
        case set() | frozenset():
            return sorted(to_plain(v) for v in value)
        case Enum():
            return to_plain(value.value)
        case PurePath():
            return str(value)
        case _:
            return value


def build(bound: SlotEntry, *args: Any, **context: Any) -> Any:
    """Call a factory with its options; nested entries are built first, with the same arguments.

    Only for slots whose options hold no Scheduled left to resolve.
    """
    function = bound.entry.function
    options = options_for(function, bound.options)
    made = _replaced(options, lambda inner: build(inner, *args, **context))
    return function(*args, **made, **context)


def function_of(bound: SlotEntry) -> Callable[..., Any]:
    """A slot function with its options filled in; nested entries become functions first.

    Only for slots whose options hold no Scheduled left to resolve (see `build` for factories).
    """
    function = bound.entry.function
    return functools.partial(
        function, **_replaced(options_for(function, bound.options), function_of)
    )


def call_on_run_start(bound: SlotEntry) -> None:
    """Call `on_run_start` of every entry inside the options, the inner ones first, then its own."""
    _replaced(bound.options, call_on_run_start)
    if bound.entry.on_run_start is not None:
        bound.entry.on_run_start(**bound.options)


def entries_of(bound: SlotEntry) -> list[SlotEntry]:
    """The entry, and every one inside its options at any depth."""
    found = [bound]
    _replaced(bound.options, lambda inner: found.extend(entries_of(inner)))
    return found


def tags_of(bound: SlotEntry) -> frozenset[str]:
    """The tags of the function and of every entry inside its options."""
    return frozenset(tag for entry in entries_of(bound) for tag in entry.entry.tags)


def options_for(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that the function takes; the others are the slot's, or another's."""
    accepted = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in accepted}


def _replaced(value: Any, make: Callable[[SlotEntry], Any]) -> Any:
    """`value` with every SlotEntry inside it replaced by what `make` makes of it."""
    if isinstance(value, SlotEntry):
        return make(value)
    if isinstance(value, Mapping):
        return {key: _replaced(inner, make) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(inner, make) for inner in value)
    return value
