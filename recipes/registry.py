"""A slot's registry: name -> checked function. The signature is the schema.

    @advantage.register(needs=("ref_logprobs",), paper="https://arxiv.org/abs/2402.14740")
    def rloo(batch: TokenBatch, *, eps: Annotated[float, Field(gt=0)] = 1e-6) -> Tensor: ...

Positional parameters must be the slot's own; every other parameter is a keyword-only, annotated
option, and from those a strict pydantic model is built. The function's name is the recipe's name
and the file's name. Importing the slot's packages is what fills the registry, the same way in
every process. A function may also be a factory that returns a stateful object.
"""

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic import create_model as build_model

from recipes.errors import Fault, RecipeError
from recipes.spec import JSON, Entry, NumberMarker

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class _Options(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True
    )


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
    provides: tuple[str, ...]  # what it fills or promises, for cross-slot checks
    paper: str  # link; empty when it has none
    file: str
    line: int
    tags: frozenset[str]
    prepare: Callable[..., Any] | None  # what it needs to see of a whole minibatch, if it does

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    def option_default(self, name: str) -> Any:
        return self.schema.model_fields[name].get_default(call_default_factory=True)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A registered function with validated options; Number options are still unresolved.

    options: values as the schema validated them. A Number is a float or a Bound of the `number`
    registry; a nested slot entry is a Bound of that slot's registry.
    given: the names that the recipe set, the others are defaults.
    """

    entry: Registered
    options: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Batch fields that somebody must compute first, given these options."""
        return tuple(need.format(**self.options) for need in self.entry.needs)


class Registry(Generic[P, R]):
    """All functions of one slot.

    slot:     the word a user reads in errors, "advantage estimator"
    params:   positional parameters that each function must take, in order
    packages: imported on first use; each module registers what it defines
    numbers:  the registry that resolves Number options (schedules and controllers)
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
        self._discovered: set[str] = set()

    # -- filling ---------------------------------------------------------------------------------

    def register(
        self,
        *,
        needs: Sequence[str] = (),
        provides: Sequence[str] = (),
        paper: str = "",
        tags: Sequence[str] = (),
        params: Sequence[str] | None = None,
        prepare: Callable[..., Any] | None = None,
    ) -> Callable[[F], F]:
        """Decorator: check the signature, build the options schema, file under the name.

        `params` replaces the slot's positional parameters, for a slot with two kinds of functions.
        `prepare` is a function `(logprobs, minibatch, *, options) -> [T, K]` of a loss or term
        whose numbers depend on the whole minibatch; its options are some of the function's own.
        """
        expected = self.params if params is None else tuple(params)

        def decorate(function: F) -> F:
            entry = self._examine(function, expected, needs, provides, paper, tags, prepare)
            known = self._entries.get(entry.name)
            if known is not None:
                raise TypeError(
                    f"two {self.slot}s are called '{entry.name}': {known.file}:{known.line} and "
                    f"{entry.file}:{entry.line}; rename one"
                )
            self._entries[entry.name] = entry
            return function

        return decorate

    def extend(self, package: str) -> None:
        """Also search `package`; how a higher layer adds names to a registry of a lower one."""
        if package not in self._packages:
            self._packages.append(package)

    def _examine(
        self,
        function: Callable[..., Any],
        expected: tuple[str, ...],
        needs: Sequence[str],
        provides: Sequence[str],
        paper: str,
        tags: Sequence[str],
        prepare: Callable[..., Any] | None,
    ) -> Registered:
        name = function.__name__
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        kinds = inspect.Parameter
        positional = [
            p.name
            for p in signature.parameters.values()
            if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        ]
        loose = [
            p.name
            for p in signature.parameters.values()
            if p.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        ]
        if tuple(positional) != expected or loose:
            raise TypeError(
                f"{self.slot} '{name}' must take {expected}, got {tuple(positional + loose)}; "
                "options are keyword-only"
            )
        fields: dict[str, Any] = {}
        numbers: set[str] = set()
        counts: set[str] = set()
        for parameter in signature.parameters.values():
            if parameter.kind is not kinds.KEYWORD_ONLY:
                continue
            if parameter.name not in hints:
                raise TypeError(f"{self.slot} '{name}': option '{parameter.name}' has no type")
            annotation = hints[parameter.name]
            metadata = getattr(annotation, "__metadata__", ())
            if any(isinstance(mark, NumberMarker) for mark in metadata):
                numbers.add(parameter.name)
                if annotation.__origin__ is int:
                    counts.add(parameter.name)
                annotation = self._number_field(annotation)
            default = ... if parameter.default is kinds.empty else parameter.default
            fields[parameter.name] = (annotation, default)
        for option, declared in self._slot_options.items():
            if option in fields:
                raise TypeError(f"{self.slot} '{name}': '{option}' is an option of the slot itself")
            fields[option] = declared
        code = inspect.unwrap(function).__code__
        return Registered(
            slot=self.slot,
            name=name,
            function=function,
            schema=build_model(f"{name}_options", __base__=_Options, **fields),
            numbers=frozenset(numbers),
            counts=frozenset(counts),
            needs=tuple(needs),
            provides=tuple(provides),
            paper=paper,
            file=code.co_filename,
            line=code.co_firstlineno,
            tags=frozenset(tags),
            prepare=prepare,
        )

    def _number_field(self, annotation: Any) -> Any:
        """`Number` as pydantic sees it: a bounded float, or an entry of the numbers registry."""
        if self._numbers is None:
            return annotation
        numbers = self._numbers
        plain = annotation

        def bind(value: JSON) -> JSON:
            return numbers.bind(value) if isinstance(value, dict) else value

        return Annotated[Bound | plain, BeforeValidator(bind)]

    # -- reading ---------------------------------------------------------------------------------

    def _discover(self) -> None:
        for package_name in [p for p in self._packages if p not in self._discovered]:
            self._discovered.add(package_name)
            package = importlib.import_module(package_name)
            if not hasattr(package, "__path__"):
                continue
            for module in pkgutil.walk_packages(package.__path__, f"{package_name}."):
                importlib.import_module(module.name)

    def names(self) -> tuple[str, ...]:
        self._discover()
        return tuple(sorted(self._entries))

    def __iter__(self) -> Any:
        return iter([self._entries[name] for name in self.names()])

    def get(self, name: str) -> Registered:
        """The entry called `name`; a RecipeError with the nearest names otherwise."""
        self._discover()
        entry = self._entries.get(name)
        if entry is None:
            raise RecipeError.of(
                f"no {self.slot} called '{name}'",
                fix=f"{did_you_mean(name, self._entries)}(known: {', '.join(self.names())})",
            )
        return entry

    def bind(self, value: JSON) -> Bound:
        """Validate `{name: ..., options...}` (or a bare name) into a Bound.

        Raises RecipeError whose faults' paths are relative to the entry.
        """
        if isinstance(value, Bound):
            return value
        if isinstance(value, Entry):
            value = {"name": value.name, **value.options}
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise RecipeError.of(
                f"expected a {self.slot}, `{{name: ..., options}}`, got {value!r}",
                fix=f"known: {', '.join(self.names())}",
            )
        given = {key: option for key, option in value.items() if key != "name"}
        entry = self.get(value["name"])
        try:
            model = entry.schema.model_validate(given)
        except ValidationError as error:
            raise RecipeError(_faults(entry, error)) from None
        options = {key: getattr(model, key) for key in entry.schema.model_fields}
        return Bound(entry=entry, options=options, given=frozenset(given))

    @property
    def nested(self) -> Any:
        """For an option that is itself an entry of this slot: `Annotated[Verifier, slot.nested]`.

        Validates to a Bound; whoever builds the outer object builds the inner ones first (see
        `build`).
        """
        return _Nested(self)

    def slot_option_names(self) -> frozenset[str]:
        return frozenset(self._slot_options)

    def json_schema(self) -> dict[str, JSON]:
        """JSON Schema of an entry: a bare name, or one object per known function."""
        variants: list[JSON] = [{"type": "string", "enum": list(self.names())}]
        for entry in self:
            schema = entry.schema.model_json_schema()
            schema["properties"] = {"name": {"const": entry.name}, **schema.get("properties", {})}
            schema["required"] = ["name", *schema.get("required", [])]
            schema["title"] = entry.name
            schema["description"] = entry.summary
            variants.append(schema)
        return {"anyOf": variants}


class _Nested:
    """Pydantic hook of `Registry.nested`: a raw entry in, a Bound out."""

    def __init__(self, registry: Registry[Any, Any]) -> None:
        self._registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            self._registry.bind,
            serialization=core_schema.plain_serializer_function_ser_schema(describe),
        )

    def __get_pydantic_json_schema__(self, source: Any, handler: Any) -> dict[str, JSON]:
        return {"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}


def describe(value: Any) -> JSON:
    """A bound entry, or any option value, as plain JSON, every default written out."""
    if isinstance(value, Bound):
        return {"name": value.name, **{k: describe(v) for k, v in value.options.items()}}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {k: describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(v) for v in value]
    return value


def build(bound: Bound, *args: Any, **context: Any) -> Any:
    """Call a factory with its options; nested entries are built first, with the same arguments.

    Only for slots whose options hold no Number left to resolve.
    """
    options = {
        key: _build_nested(value, args, context)
        for key, value in bound.options.items()
        if key in inspect.signature(bound.entry.function).parameters
    }
    return bound.entry.function(*args, **options, **context)


def function_of(bound: Bound) -> Callable[..., Any]:
    """A slot function with its options filled in; nested entries become functions first.

    Only for slots whose options hold no Number left to resolve (see `build` for factories).
    """
    accepted = inspect.signature(bound.entry.function).parameters
    options = {k: _function_nested(v) for k, v in bound.options.items() if k in accepted}
    return functools.partial(bound.entry.function, **options)


def _function_nested(value: Any) -> Any:
    if isinstance(value, Bound):
        return function_of(value)
    if isinstance(value, Mapping):
        return {k: _function_nested(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_function_nested(v) for v in value)
    return value


def _build_nested(value: Any, args: tuple[Any, ...], context: dict[str, Any]) -> Any:
    if isinstance(value, Bound):
        return build(value, *args, **context)
    if isinstance(value, Mapping):
        return {k: _build_nested(v, args, context) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_build_nested(v, args, context) for v in value)
    return value


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """`did you mean 'grpo'? `, or nothing when no name is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'? " if near else ""


def _faults(entry: Registered, error: ValidationError) -> list[Fault]:
    """Pydantic's errors in our words: union branch names stripped, near names suggested."""
    options = list(entry.schema.model_fields)
    faults: dict[str, Fault] = {}
    for problem in error.errors():
        path = option_path(problem["loc"])
        inner = (problem.get("ctx") or {}).get("error")
        if isinstance(inner, RecipeError):
            for fault in inner.faults:
                nested = ".".join(part for part in (path, fault.path) if part)
                faults[nested] = Fault(path=nested, what=fault.what, fix=fault.fix)
        elif problem["type"] == "extra_forbidden":
            faults[path] = Fault(
                path=path,
                what=f"{entry.name} has no such option",
                fix=f"{did_you_mean(path, options)}(options: {', '.join(options) or 'none'})",
            )
        elif problem["type"] == "missing":
            what = f"{entry.name} needs this option"
            faults[path] = Fault(path=path, what=what, fix="set it")
        elif path not in faults:
            faults[path] = Fault(path=path, what=f"{problem['msg']} (got {problem['input']!r})")
    return list(faults.values())


def option_path(location: tuple[int | str, ...]) -> str:
    """A pydantic location as a recipe path, without the names of union branches."""
    keep = [
        str(part)
        for part in location
        if isinstance(part, int)
        or (part.isidentifier() and part not in _BRANCHES and not part.endswith("_options"))
    ]
    return ".".join(keep)


_BRANCHES = frozenset(
    {"float", "int", "str", "bool", "Bound", "is", "instance", "constrained", "Entry"}
)


def relative(file: str) -> str:
    """`file` relative to the repository or the current folder where it lies in one of them."""
    for root in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if Path(file).is_relative_to(root):
            return str(Path(file).relative_to(root))
    return file
