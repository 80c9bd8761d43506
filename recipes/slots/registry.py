"""A slot's registry: name -> checked function. The signature is the schema.

    @advantage.register(needs=("ref_logprobs",), paper="https://arxiv.org/abs/2402.14740")
    def rloo(batch: TokenBatch, *, eps: Annotated[float, Field(gt=0)] = 1e-6) -> Tensor: ...

Positional parameters must be the slot's own; every other parameter is a keyword-only, annotated
option, and from those a strict pydantic model is built. The function's name is the recipe's name
and the file's name. Importing the slot's packages is what fills the registry, the same way in
every process. A function may also be a factory that returns a stateful object.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import ValidationError

from recipes.errors import RecipeError, choose_from, did_you_mean, relative, shown
from recipes.slots.entry import (
    Registered,
    SlotEntry,
    build,
    call_on_run_start,
    entries_of,
    function_of,
    options_for,
    tags_of,
    to_plain,
)
from recipes.slots.options import (
    NestedHook,
    check_signature,
    option_faults,
    option_path,
    options_schema,
)
from recipes.slots.spec import JSON, Requires

__all__ = [
    "Registry", "Registered", "SlotEntry", "build", "function_of", "to_plain", "entries_of",
    "call_on_run_start", "options_for", "tags_of", "choose_from", "did_you_mean", "option_path",
    "relative",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[P, R]):
    """All functions of one slot.

    slot:     the word a user reads in errors, "advantage estimator"
    params:   positional parameters that each function must take, in order
    packages: imported on first use; each module registers what it defines
    numbers:  the registry that resolves Scheduled options (schedules and controllers)
    slot_options: keyword options that every entry of the slot may carry besides the function's own,
        as (type, default); they are not passed to the function
    """

    def __init__(
        self,
        slot: str,
        *,
        params: Sequence[str],
        packages: Sequence[str],
        numbers: "Registry[Any, Any] | None" = None,
        slot_options: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None:
        self.slot = slot
        self.params = tuple(params)
        self._packages = list(packages)
        self._numbers = numbers
        self._slot_options = dict(slot_options or {})
        self._entries: dict[str, Registered] = {}
        self._former: dict[str, str] = {}  # old name of a function -> the one it has now
        self._discovered: set[str] = set()

    # -- filling ---------------------------------------------------------------------------------

    def register(
        self,
        *,
        needs: Sequence[str] = (),
        paper: str = "",
        tags: Sequence[str] = (),
        requires: Sequence[Requires] = (),
        params: Sequence[str] | None = None,
        minibatch_stats: Callable[..., Any] | None = None,
        validate: Callable[..., None] | None = None,
        on_run_start: Callable[..., None] | None = None,
        formerly: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
        slot_defaults: Mapping[str, JSON] | None = None,
        row_verifiers: Callable[..., Collection[str]] | None = None,
    ) -> Callable[[F], F]:
        """Decorator: check the signature, build the options schema, file under the name.

        `tags` are what `check` and other functions go by, never the name; `requires` says which
        tags another slot must have, or must not. `params` replaces the slot's positional ones.
        `minibatch_stats`, of a loss or term that depends on the whole minibatch, is a function
        `(minibatch, *, options) -> [T, K]`; its options are some of the function's own.
        `validate` is called with all options when a recipe is read, and raises RecipeError, with
        paths relative to the entry, where they do not go together. `on_run_start` is called with
        them when a run begins, before its model loads: it opens what they name (a key, a folder, a
        model), or raises RecipeError. `formerly` are earlier names of the function, `renamed` maps
        old option names to new ones: an old name is an error with the new one.
        `slot_defaults` are this function's own defaults of options that the slot declares.
        `row_verifiers`, of a verifier that chooses another one by the data row, is called with all
        options and returns the names that a row may give, with '' where it need not give any.
        """

        def decorate(function: F) -> F:
            expected = self.params if params is None else tuple(params)
            check_signature(self.slot, function, expected)
            slot_options = self._slot_options_of(function, slot_defaults or {})
            schema, numbers, counts = options_schema(function, self._numbers, slot_options)
            self._file_under_name(
                Registered(
                    slot=self.slot,
                    name=function.__name__,
                    function=function,
                    schema=schema,
                    numbers=numbers,
                    counts=counts,
                    needs=tuple(needs),
                    paper=paper,
                    tags=frozenset(tags),
                    requires=tuple(requires),
                    minibatch_stats=minibatch_stats,
                    validate=validate,
                    on_run_start=on_run_start,
                    renamed=dict(renamed or {}),
                    row_verifiers=row_verifiers,
                ),
                formerly,
            )
            return function

        return decorate

    def _slot_options_of(
        self, function: Callable[..., Any], defaults: Mapping[str, JSON]
    ) -> dict[str, tuple[Any, Any]]:
        """The options that the slot declares, with the function's own defaults."""
        for option in inspect.signature(function).parameters.keys() & self._slot_options.keys():
            raise TypeError(
                f"{self.slot} '{function.__name__}': '{option}' is an option of the slot itself"
            )
        return {
            name: (annotation, defaults.get(name, default))
            for name, (annotation, default) in self._slot_options.items()
        }

    def _file_under_name(self, entry: Registered, formerly: Sequence[str]) -> None:
        known = self._entries.get(entry.name)
        if known is not None:
            raise TypeError(
                f"two {self.slot}s are called '{entry.name}': {known.file}:{known.line} and "
                f"{entry.file}:{entry.line}; rename one"
            )
        self._entries[entry.name] = entry
        self._former |= dict.fromkeys(formerly, entry.name)

    def extend(self, package: str) -> None:
        """Also search `package`; how a higher layer adds names to a registry of a lower one."""
        if package not in self._packages:
            self._packages.append(package)

    def _discover(self, only: str | None = None) -> None:
        """Import every module of the packages, or the modules called `only`."""
        for package_name in [p for p in self._packages if p not in self._discovered]:
            package = importlib.import_module(package_name)
            folders = package.__spec__.submodule_search_locations if package.__spec__ else None
            for module in pkgutil.iter_modules(folders or []):
                if only in (None, module.name):
                    importlib.import_module(f"{package_name}.{module.name}")
            if only is None:
                self._discovered.add(package_name)

    # -- reading ---------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        self._discover()
        return tuple(sorted(self._entries))

    def __iter__(self) -> Iterator[Registered]:
        return iter([self._entries[name] for name in self.names()])

    def get(self, name: str) -> Registered:
        """The entry called `name`; a RecipeError with the nearest names otherwise."""
        if name not in self._entries:
            self._discover(only=name)  # its file has its name: the others need not be imported
        if name not in self._entries:
            self._discover()
        entry = self._entries.get(name)
        if entry is None and name in self._former:
            now = self._former[name]
            raise RecipeError.of(f"{self.slot} `{name}` is now `{now}`", fix="use the new name")
        if entry is None:
            raise RecipeError.of(
                f"no {self.slot} called '{name}'",
                fix=choose_from(self.names(), name),
            )
        return entry

    def bind(self, value: JSON) -> SlotEntry:
        """Validate `{name: ..., options...}` (or a bare name) into a SlotEntry.

        Raises RecipeError whose faults' paths are relative to the entry.
        """
        if isinstance(value, SlotEntry):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            article = "an" if self.slot[0] in "aeiou" else "a"
            raise RecipeError.of(
                f"expected {article} {self.slot}, `{{name: ..., options}}`, got {shown(value)}",
                fix=f"known: {', '.join(self.names())}",
            )
        given = {key: option for key, option in value.items() if key != "name"}
        entry = self.get(value["name"])
        try:
            # As JSON, which a recipe is: a list may then stand for a tuple, a word for an enum.
            model = entry.schema.model_validate_json(json.dumps(given, default=to_plain))
        except ValidationError as error:
            raise RecipeError(option_faults(entry, error)) from None
        options = {key: model.__dict__[key] for key in entry.schema.model_fields}
        if entry.validate is not None:
            entry.validate(**options)
        return SlotEntry(entry=entry, options=options, given=frozenset(given))

    @property
    def nested(self) -> Any:
        """For an option that is itself an entry of this slot: `Annotated[Verifier, slot.nested]`.

        Validates to a SlotEntry; whoever builds the outer object builds the inner ones first (see
        `build`).
        """
        return NestedHook(self)

    def bare_names(self) -> tuple[str, ...]:
        """Functions without a required option: a recipe may give just the word."""
        return tuple(
            entry.name
            for entry in self
            if not any(option.is_required() for option in entry.schema.model_fields.values())
        )
