"""Runs in a worker: loads a plug-in, says what it is, calls it for one response.

A plug-in is named `path/to/file.py:name`, `package.module:name`, or by an entry point of the group
`temper.verifiers`. It is loaded once a process; a class is made and set up once a process. Its
prints go nowhere. What it raises is reported with the file and line where it was raised.
"""

import asyncio
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from recipes.errors import relative
from rewards.plugins.signatures import (
    EXPECTED,
    PluginFault,
    Request,
    TrainerState,
    arguments_of,
    score_of,
    style_of,
)
from rewards.types import JSON, Message, Problem

GROUP = "temper.verifiers"
_NOTHING = object()
_broken: dict[str, str] = {}  # specs whose set-up just failed, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plug-in that can be called."""

    function: Callable[..., Any]
    style: str
    options: Mapping[str, JSON]  # what each call gets; a class took its own when it was made
    place: str  # file:line


def describe_plugin(spec: Mapping[str, JSON]) -> dict[str, JSON]:
    """What the plug-in is, without calling it: `kind`, `place`, `file`; or what is its `fault`."""
    try:
        found = _find(spec["function"])
        style = _style(found, spec)
    except PluginFault as fault:
        return {"fault": str(fault)}
    return {"kind": style, "place": _place(found), "file": _source(found)[0]}


def prepare(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> None:
    """Load and set up before the deadline runs; a failure is told by the call that follows."""
    key = json.dumps(spec)
    try:
        _load(key)
        if spec["tokenizer"]:
            _tokenizer(spec["tokenizer"])
    except PluginFault as fault:
        _broken[key] = str(fault)
    except Exception as error:  # anybody's code
        _broken[key] = f"{spec['function']}: its set-up {_blame(error)}"


def call(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> dict[str, JSON]:
    """The score of one response as plain data, or the `fault` that it costs."""
    key = json.dumps(spec)
    if key in _broken:
        return {"fault": _broken.pop(key)}  # the next call tries again
    loaded = _load(key)
    try:
        asked = _request(spec, request)
        arguments, notes = arguments_of(loaded.style, loaded.function, asked, loaded.options)
        score = score_of(loaded.style, _run(loaded.function, arguments), notes)
    except PluginFault as fault:
        return {"fault": f"{loaded.place}: {fault}"}
    return {
        "reward": score.reward,
        "correct": score.correct,
        "missing": score.missing,
        "reason": score.reason,
        "answer": score.answer,
        "components": dict(score.components),
    }


def _run(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What it returns, or what an async function comes to; one loop serves a process's life."""
    try:
        value = function(**arguments)
        return _loop().run_until_complete(_awaited(value)) if inspect.isawaitable(value) else value
    except PluginFault:
        raise
    except Exception as error:  # anybody's code; its failure is data
        raise PluginFault(_blame(error)) from None


async def _awaited(value: Any) -> Any:
    return await value


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _blame(error: BaseException) -> str:
    """`ValueError: no digits (my_reward.py:12)`: the innermost line of the plug-in's own."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.endswith("plugin_worker.py")]
    last = (theirs or frames)[-1]
    text = f"{error!s:.200}"
    return f"raised {type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"


@functools.cache
def _load(text: str) -> Loaded:
    """The plug-in of a spec, as text so that it can be a key."""
    spec = json.loads(text)
    found = _find(spec["function"])
    style = _style(found, spec)
    place = _place(found)
    if not isinstance(found, type):
        return Loaded(function=found, style=style, options=spec["options"], place=place)
    instance = found(**spec["options"])
    setup = getattr(instance, "setup", None)  # a protocol of strangers: they may leave it out
    if setup is not None:
        _run(setup, {})
    return Loaded(function=instance, style=style, options={}, place=place)


def _style(found: Any, spec: Mapping[str, JSON]) -> str:
    """How it wants to be called; PluginFault with its place and signature when that is unclear."""
    place, name = _place(found), spec["function"].rpartition(":")[2]
    wanted, options = spec["kind"], spec["options"]
    if wanted == "class" and not inspect.isclass(found):
        raise PluginFault(f"{place}: {name} is not a class, and kind is 'class'")
    function: Callable[..., Any] = found
    given = options
    if inspect.isclass(found):
        if not inspect.isfunction(inspect.getattr_static(found, "__call__", None)):
            raise PluginFault(f"{place}: class {name} has no method __call__; {EXPECTED}")
        unknown = set(options) - set(inspect.signature(found).parameters)
        if unknown:
            raise PluginFault(f"{place}: {name}() takes no option '{min(unknown)}'")
        function, given = functools.partial(found.__call__, None), {}
    try:
        style = style_of(function, given)
    except PluginFault as fault:
        raise PluginFault(f"{place}: {name}{inspect.signature(function)} {fault}") from None
    if wanted not in ("auto", "class", style):
        raise PluginFault(
            f"{place}: {name}{inspect.signature(function)} is of the kind '{style}', and kind is "
            f"'{wanted}'; {EXPECTED}"
        )
    return style


def _find(name: str) -> Any:
    """The function or class itself; PluginFault says why there is none."""
    where, _, attribute = name.rpartition(":")
    if not where:
        found = _entry_point(name)
    else:
        module = _file(where) if where.endswith(".py") else _module(where)
        found = getattr(module, attribute, _NOTHING)  # a module may load its names when asked
        if found is _NOTHING:
            public = [n for n, v in vars(module).items() if callable(v) and n[0] != "_"]
            raise PluginFault(
                f"{where} has no '{attribute}' (it has {', '.join(public) or 'none'})"
            )
    if not callable(found):
        raise PluginFault(f"'{name}' is {type(found).__name__}, no function and no class")
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


def _file(path: str) -> ModuleType:
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise PluginFault(f"there is no file {file}")
    name = f"temper_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last: its neighbours can be imported, ours stay ours
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # anybody's code
        raise PluginFault(f"{path} does not import: {_import_blame(error)}") from None
    return module


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # anybody's code
        raise PluginFault(f"{name} does not import: {_import_blame(error)}") from None


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


def _request(spec: Mapping[str, JSON], request: Mapping[str, JSON]) -> Request:
    asked = request["problem"]
    messages = tuple(Message(role=role, content=text) for role, text in asked["messages"])
    ids = _tokenizer(spec["tokenizer"])(request["response"]) if spec["tokenizer"] else None
    return Request(
        problem=Problem(
            id=asked["id"],
            messages=messages,
            answer=asked["answer"],
            verifier=asked["verifier"],
            tags=frozenset(asked["tags"]),
            columns=asked["columns"],
        ),
        response=request["response"],
        answer_column=spec["answer_column"],
        as_messages=spec["completions"] == "messages",
        completion_ids=ids,
        state=TrainerState(**request["state"]),
    )


@functools.cache
def _tokenizer(path: str) -> Callable[[str], list[int]]:
    """Text to ids, without special tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])
