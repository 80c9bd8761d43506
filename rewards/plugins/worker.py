"""Runs in a worker: loads a plug-in, says what it is, calls it for one response or a group.

A plug-in is named `path/to/file.py:name`, `package.module:name`, or by an entry point of the group
`temper.verifiers`. A file is executed once a process, whatever the number of its functions; a class
is made and set up once a process, and closed at its end. Prints go nowhere. What a plug-in raises
is reported with the file and line where it was raised.
"""

import asyncio
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from recipes.errors import relative
from rewards.plugins.signatures import (
    EXPECTED,
    PluginCall,
    PluginFault,
    Style,
    TrainerState,
    arguments_of,
    scores_of,
    style_of,
)
from rewards.types import JSON, Message, Problem

GROUP = "temper.verifiers"
_NOTHING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plugin:
    """A plug-in that can be called."""

    function: Callable[..., Any]
    style: Style
    options: Mapping[str, JSON]  # what each call gets; a class took its own when it was made
    place: str  # file:line


_ready: dict[str, _Plugin] = {}  # by spec, as text so that it can be a key
_broken: dict[str, str] = {}  # why the last set-up failed
_setting_up: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
_made: list[Any] = []  # instances, to be closed


def describe_plugin(spec: Mapping[str, JSON]) -> dict[str, JSON]:
    """What the plug-in is, without calling it: fields of PluginFacts; or what is its `fault`."""
    try:
        found = _find(spec["function"], spec["changed"])
        bare, style = _styled(found, spec)
    except PluginFault as fault:
        return {"fault": str(fault)}
    calls = (inspect.unwrap(bare), inspect.getattr_static(type(bare), "__call__"))  # an object's
    return {
        **asdict(style),
        "place": _place(found),
        "file": _source(found)[0],
        "is_async": any(inspect.iscoroutinefunction(call) for call in calls),
    }


async def prepare(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> None:
    """Load and set up before the deadline runs; a failure is told by the call that follows."""
    key = json.dumps(spec)
    async with _setting_up[key]:
        if key in _ready:
            return
        try:
            _ready[key] = await _load(spec)
            if spec["tokenizer"]:
                _tokenizer(spec["tokenizer"])
        except PluginFault as fault:
            _broken[key] = str(fault)
        except Exception as error:  # anybody's code
            _broken[key] = f"{spec['function']}: its set-up {_blame(error)}"


async def call(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> dict[str, JSON]:
    """The score of each response as plain data, or the `fault` that costs all of them."""
    key = json.dumps(spec)
    if key not in _ready:
        return {"fault": _broken[key]}
    plugin = _ready[key]
    try:
        asked = _call_of(spec, request)
        arguments, notes = arguments_of(plugin.style, plugin.function, asked, plugin.options)
        value = await _result(plugin.function, arguments)
        scores = scores_of(plugin.style, value, notes, len(asked.responses))
    except PluginFault as fault:
        return {"fault": f"{plugin.place}: {fault}"}
    plain = [asdict(score) for score in scores]
    return {
        "scores": [{**s, "fault": s["fault"] and f"{plugin.place}: {s['fault']}"} for s in plain]
    }


async def end() -> None:
    """Close what has `close` or `teardown`, the last one made first."""
    for instance in reversed(_made):
        for name in ("close", "teardown"):
            farewell = getattr(instance, name, None)  # a protocol of strangers: may be left out
            if callable(farewell):
                await _result(farewell, {})


async def _result(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What it returns, or what an async function comes to."""
    try:
        value = function(**arguments)
        return await value if inspect.isawaitable(value) else value
    except (PluginFault, MemoryError):  # after the second the process is replaced
        raise
    except Exception as error:  # anybody's code; its failure is data
        raise PluginFault(_blame(error)) from None


def _blame(error: BaseException) -> str:
    """`raised ValueError: no digits (my_reward.py:12)`: the innermost line of the plug-in's own."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__]
    last = (theirs or frames)[-1]
    text = f"{error!s:.200}"
    return f"raised {type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"


async def _load(spec: Mapping[str, JSON]) -> _Plugin:
    found = _find(spec["function"], spec["changed"])
    function, style = _styled(found, spec)
    options = spec["options"]
    if isinstance(found, type):
        function, options = found(**options), {}
        _made.append(function)
        setup = getattr(function, "setup", None)  # a protocol of strangers: they may leave it out
        if setup is not None:
            await _result(setup, {})
    elif function is not found:
        options = {}
    return _Plugin(function=function, style=style, options=options, place=_place(found))


def _styled(found: Any, spec: Mapping[str, JSON]) -> tuple[Callable[..., Any], Style]:
    """What is to be called, and how; PluginFault with its place and signature when unclear.

    Of a class its `__call__` without an instance; of a function that makes one, what it makes.
    """
    place, name = _place(found), spec["function"].rpartition(":")[2]
    options, arguments = spec["options"], spec["arguments"]
    wanted = "" if spec["kind"] in ("auto", "class") else spec["kind"]
    if spec["kind"] == "class" and not inspect.isclass(found):
        raise PluginFault(f"{place}: {name} is not a class, and kind is 'class'")
    function: Callable[..., Any] = found
    if inspect.isclass(found):
        if not inspect.isfunction(inspect.getattr_static(found, "__call__", None)):
            raise PluginFault(f"{place}: class {name} has no method __call__; {EXPECTED}")
        unknown = set(options) - set(inspect.signature(found).parameters)
        if unknown:
            raise PluginFault(f"{place}: {name}() takes no option '{min(unknown)}'")
        function, options = functools.partial(found.__call__, None), {}
    elif options and not wanted and _makes_one(found, options):
        function, options = found(**options), {}
    try:
        return function, style_of(function, options, arguments, wanted)
    except PluginFault as fault:
        raise PluginFault(f"{place}: {name}{inspect.signature(function)} {fault}") from None


def _makes_one(function: Callable[..., Any], options: Mapping[str, JSON]) -> bool:
    """Whether it only takes options, as TRL's `get_soft_overlong_punishment`: it makes a reward."""
    parameters = inspect.signature(function).parameters.values()
    plain = all(p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.KEYWORD_ONLY for p in parameters)
    return plain and {p.name for p in parameters} == options.keys()


def _find(name: str, changed: int) -> Any:
    """The function or class itself; PluginFault says why there is none."""
    where, _, attribute = name.rpartition(":")
    if not where:
        found = _entry_point(name)
    else:
        module = (
            _file(Path(where).expanduser(), changed) if where.endswith(".py") else _module(where)
        )
        found = getattr(module, attribute, _NOTHING)  # a module may load its names when asked
        if found is _NOTHING:
            public = [n for n, v in vars(module).items() if callable(v) and n[0] != "_"]
            raise PluginFault(
                f"{where} has no '{attribute}' (it has {', '.join(public) or 'none'})"
            )
    if not callable(found):
        raise PluginFault(f"'{name}' is {type(found).__name__}, neither a function nor a class")
    return found


def _entry_point(name: str) -> Any:
    found = importlib.metadata.entry_points(group=GROUP)
    chosen = [point for point in found if point.name == name]
    if not chosen:
        known = ", ".join(sorted(point.name for point in found)) or "none"
        raise PluginFault(
            f"no entry point '{name}' in the group {GROUP} (installed: {known}); a function in a "
            "file is `path/to/file.py:name`"
        )
    try:
        return chosen[0].load()
    except Exception as error:
        raise PluginFault(f"entry point '{name}' does not load: {_import_blame(error)}") from None


@functools.cache
def _file(path: Path, changed: int) -> ModuleType:
    """The module of a file, executed once for each time that it was `changed`."""
    file = path.resolve()
    if not file.is_file():
        raise PluginFault(f"there is no file {file}")
    name = f"temper_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up
    _import_from(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # anybody's code
        raise PluginFault(f"{path} does not import: {_import_blame(error)}") from None
    return module


def _module(name: str) -> ModuleType:
    _import_from(os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:  # anybody's code
        raise PluginFault(f"{name} does not import: {_import_blame(error)}") from None


def _import_from(folder: str) -> None:
    """As Python does for a script: what is beside it comes first; ours is imported already."""
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)


def _import_blame(error: Exception) -> str:
    """The line of the plug-in that failed, also for a syntax error, which has no frame there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    line = f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error!s:.200}{line}"


def _place(found: Any) -> str:
    """file:line of a function or class, as a person would write the file."""
    file, line = _source(found)
    return f"{relative(file)}:{line}" if file else f"{found!r:.60}"


def _source(found: Any) -> tuple[str, int]:
    """File and line; empty for what is built in or is an object that only can be called."""
    try:
        bare = inspect.unwrap(found)
        return inspect.getsourcefile(bare) or "", inspect.getsourcelines(bare)[1]
    except (OSError, TypeError):
        return "", 0


def _call_of(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> PluginCall:
    asked, responses = request["problem"], request["responses"]
    messages = tuple(Message(role=role, content=text) for role, text in asked["messages"])
    encode = _tokenizer(spec["tokenizer"]) if spec["tokenizer"] else None
    return PluginCall(
        problem=Problem(
            id=asked["id"],
            messages=messages,
            answer=asked["answer"],
            verifier=asked["verifier"],
            tags=frozenset(asked["tags"]),
            columns=asked["columns"],
        ),
        responses=responses,
        arguments=spec["arguments"],
        answer_column=spec["answer_column"],
        as_messages=spec["completions"] == "messages",
        completion_ids=[encode(response) for response in responses] if encode else None,
        state=TrainerState(**request["state"]),
    )


@functools.cache
def _tokenizer(path: str) -> Callable[[str], list[int]]:
    """Text to ids, without special tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])
