"""The ways in which a reward function may ask to be called, and what it may return.

    temper   score(problem, response), or any of response, answer, prompt, problem by name
             -> a number, a Verdict, or None for "not for me"
    group    the same with `responses`, all responses to the problem -> a list of those
    trl      reward(prompts, completions, completion_ids, <columns>, trainer_state, **kwargs), each
             a list over the responses to one problem -> a list of numbers or None
    verl     compute_score(data_source, solution_str, ground_truth, extra_info)
             -> a number, or a mapping with `score`; with plural names, lists of all

Runs inside a worker: only plain data goes in and comes out.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.types import JSON, Message, Problem, Verdict

EXPECTED = (
    "expected score(problem, response) or score(response, answer), score(responses, answer) for "
    "all responses of a problem, TRL's reward(completions, **kwargs), or verl's "
    "compute_score(data_source, solution_str, ground_truth, extra_info); other parameter names "
    "are mapped by `arguments`"
)
_OURS = ("problem", "answer", "prompt")
_VERL = ("data_source", "solution_str", "ground_truth", "extra_info")
_VERL_LISTS = ("data_sources", "solution_strs", "ground_truths", "extra_infos")
_TRL = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")
_SHOWN = 60  # characters of a value in a message


class PluginFault(Exception):
    """The plug-in broke the contract; the text says how, without its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerState:
    """What a TRL function may read of `trainer_state`: training steps done and planned."""

    global_step: int
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCall:
    """Responses to be scored, one or a group; what a function may ask for is made of this."""

    problem: Problem
    responses: Sequence[str]
    arguments: Mapping[str, str]  # parameter -> what it gets, see `_value`
    answer_column: str  # keyword under which a TRL function gets the gold answer
    as_messages: bool  # TRL: prompt and completion as lists of messages, not as text
    completion_ids: list[list[int]] | None  # TRL: ids of the responses; None without a tokenizer
    state: TrainerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a function wants to be called."""

    kind: str  # temper, group, trl or verl
    takes_group: bool  # all responses to a problem at once


@dataclass(slots=True, kw_only=True)
class Score:
    """What a plug-in said; `reward` is None for "not for me", `correct` None if it did not say."""

    reward: float | None = None
    correct: bool | None = None
    missing: bool = False
    fault: str = ""  # what it broke with this response
    reason: str = ""
    answer: str = ""
    components: Mapping[str, float] = field(default_factory=dict)


def style_of(
    function: Callable[..., Any],
    options: Mapping[str, JSON],
    arguments: Mapping[str, str],
    wanted: str,
) -> Style:
    """By the names of the parameters, or as `wanted`; PluginFault for none of the kinds."""
    parameters = inspect.signature(function).parameters
    for name in (*options, *arguments):
        if not _accepts(function, name):
            raise PluginFault(f"takes no option '{name}'")
    both = options.keys() & arguments.keys()
    if both:
        raise PluginFault(f"gets '{min(both)}' from `options` and from `arguments`; name it once")
    names = {name for name in parameters if name not in options and name not in arguments}
    mapped = {path.partition(".")[0] for path in arguments.values()}
    anything = _accepts(function, "**")  # TRL calls with keywords alone
    guess = _guessed(names, mapped)
    style = _named(wanted or ("trl" if anything else ""), names) if guess is None else guess
    if wanted and style.kind != wanted:
        raise PluginFault(f"is of the kind '{style.kind}', and kind is '{wanted}'; {EXPECTED}")
    if not style.kind:
        raise PluginFault(f"has a signature of no known kind; {EXPECTED}")
    passed = {"temper": ("response", *_OURS), "group": ("responses", *_OURS)}.get(style.kind)
    if passed is not None:
        lacking = [n for n in parameters if n in names - {*passed} and _is_required(parameters[n])]
        if lacking:
            raise PluginFault(
                f"needs '{lacking[0]}'; set it under `options`, or say under `arguments` which "
                "column it is"
            )
    clash = options.keys() & {*_offered_names(style)}
    if clash:
        raise PluginFault(
            f"has an option '{min(clash)}', which is also what a function of the kind "
            f"'{style.kind}' is called with: rename the parameter"
        )
    return style


def _named(wanted: str, names: set[str]) -> Style:
    lists = wanted in ("group", "trl") or (wanted == "verl" and not names.isdisjoint(_VERL_LISTS))
    return Style(kind=wanted, takes_group=lists)


def _guessed(names: set[str], mapped: set[str]) -> Style | None:
    if not names.isdisjoint(_TRL):
        return _named("trl", names)
    if names & {"solution_str", "solution_strs"}:
        return _named("verl", names)
    if "responses" in names | mapped:
        return _named("group", names)
    if "response" in names | mapped:
        return _named("temper", names)
    return None


def _offered_names(style: Style) -> tuple[str, ...]:
    if style.kind == "verl":
        return _VERL_LISTS if style.takes_group else _VERL
    return {
        "temper": ("response", *_OURS),
        "group": ("responses", *_OURS),
        "trl": _TRL,
    }[style.kind]


def arguments_of(
    style: Style, function: Callable[..., Any], call: PluginCall, options: Mapping[str, JSON]
) -> tuple[dict[str, Any], "Notes"]:
    """The keyword arguments for one call, and the notes that a TRL function may take."""
    notes = Notes(len(call.responses))
    offered = _offered(style, call, notes)
    repeats = style.takes_group and style.kind != "group"
    for name, path in call.arguments.items():
        value = _value(call, path)
        offered[name] = [value] * len(call.responses) if repeats and path != "responses" else value
    chosen = {name: value for name, value in offered.items() if _accepts(function, name)}
    columns = call.problem.columns
    clash = [name for name in options if name in columns and name in chosen]
    if clash:
        raise PluginFault(f"has an option '{clash[0]}', which is also a column of the row")
    given = {**chosen, **options}
    lacking = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if _is_required(parameter) and name not in given
    ]
    if lacking == ["completion_ids"]:
        raise PluginFault("needs completion_ids; set the option `tokenizer` to get them")
    if lacking:
        known = ", ".join(sorted({*columns, call.answer_column}))
        raise PluginFault(f"needs '{lacking[0]}', which is not a column of the row ({known})")
    return given, notes


def scores_of(style: Style, value: Any, notes: "Notes", count: int) -> list[Score]:
    """What the returned value means for each response; PluginFault when it means nothing."""
    values = _list(value, count) if style.takes_group else [value]
    scores: list[Score] = []
    for index, each in enumerate(values):
        try:
            scores.append(_score(style, each, notes, index))
        except PluginFault as fault:
            scores.append(Score(fault=str(fault)))
    return scores


def _score(style: Style, value: Any, notes: "Notes", index: int) -> Score:
    if isinstance(value, Verdict):
        return Score(
            reward=value.reward,
            correct=value.correct,
            missing=value.is_missing,
            reason=value.reason,
            answer=value.answer,
            components=value.components,
        )
    if style.kind == "verl" and isinstance(value, Mapping):
        return _verl_score(value)
    skips = value is None and style.kind != "verl"
    return Score(
        reward=None if skips else number_in(value, _wanted(style)),
        reason=notes.reason(index),
        components=notes.metrics,
    )


def number_in(value: Any, wanted: str) -> float:
    """A number, also one of NumPy's or a tensor of one element."""
    if isinstance(value, str | bytes) or value is None:
        raise PluginFault(f"returned {_shown(value)}, expected {wanted}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise PluginFault(f"returned {_shown(value)}, expected {wanted}") from None


class Notes:
    """TRL's `log_extra` and `log_metric`: what a function wants to be remembered."""

    def __init__(self, count: int) -> None:
        self.metrics: dict[str, float] = {}
        self._extra: list[list[str]] = [[] for _ in range(count)]

    def reason(self, index: int) -> str:
        return ", ".join(self._extra[index])

    def log_extra(self, column: str, values: Sequence[Any]) -> None:
        """A column of the completions table; here part of each verdict's reason."""
        for extra, value in zip(self._extra, values, strict=False):
            extra.append(f"{column}={value!s:.{_SHOWN}}")

    def log_metric(self, name: str, value: float) -> None:
        """A number that is averaged and logged; here a component of each reward."""
        self.metrics[name] = number_in(value, "a number for log_metric")


def _offered(style: Style, call: PluginCall, notes: Notes) -> dict[str, Any]:
    """What a function of the kind can ask for, by name."""
    problem = call.problem
    if style.kind == "trl":
        return _trl(call, notes)
    if style.kind == "verl":
        columns = problem.columns
        nested = columns.get("reward_model")
        truth = nested.get("ground_truth") if isinstance(nested, Mapping) else None
        values = {
            "data_source": columns.get("data_source", ""),
            "ground_truth": problem.answer if truth is None else truth,
            "extra_info": columns.get("extra_info", columns) or {},
        }
        if not style.takes_group:
            return {**values, "solution_str": call.responses[0]}
        lists = {f"{name}s": [value] * len(call.responses) for name, value in values.items()}
        return {**lists, "solution_strs": list(call.responses)}
    ours = {"problem": problem, "answer": problem.answer, "prompt": text_of(problem.messages)}
    if style.kind == "group":
        return {**ours, "responses": list(call.responses)}
    return {**ours, "response": call.responses[0]}


def _value(call: PluginCall, path: str) -> Any:
    """What `arguments` names: response, responses, answer, prompt, problem, or a column's path."""
    problem = call.problem
    match path:
        case "response" if len(call.responses) == 1:
            return call.responses[0]
        case "response" | "responses":
            return list(call.responses)
        case "answer":
            return problem.answer
        case "prompt":
            return text_of(problem.messages)
        case "problem":
            return problem
    value: Any = problem.columns
    for name in [path] if path in problem.columns else path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            known = ", ".join(sorted(problem.columns)) or "none"
            raise PluginFault(f"needs the column '{path}', and the row has none ({known})")
        value = value[name]
    return value


def _trl(call: PluginCall, notes: Notes) -> dict[str, Any]:
    problem, count = call.problem, len(call.responses)
    columns = {call.answer_column: problem.answer, **problem.columns}
    prompt: Any = text_of(problem.messages)
    completions: list[Any] = list(call.responses)
    if call.as_messages:
        prompt = [{"role": m.role, "content": m.content} for m in problem.messages]
        completions = [[{"role": "assistant", "content": text}] for text in call.responses]
    ids = {} if call.completion_ids is None else {"completion_ids": call.completion_ids}
    return {
        **{name: [value] * count for name, value in columns.items()},
        **ids,
        "prompts": [prompt] * count,
        "completions": completions,
        "trainer_state": call.state,
        "log_extra": notes.log_extra,
        "log_metric": notes.log_metric,
    }


def text_of(messages: Sequence[Message]) -> str:
    """A prompt as text: the contents of its messages, a blank line between two."""
    return "\n\n".join(message.content for message in messages)


def _list(value: Any, count: int) -> list[Any]:
    """The elements of the list that a function for groups returns, one a response."""
    wanted = f"a list of {count} for {count} response{'s' if count > 1 else ''}"
    if isinstance(value, str | bytes | Mapping):
        raise PluginFault(f"returned {_shown(value)}, expected {wanted}")
    try:
        values = list(value)
    except TypeError:
        raise PluginFault(f"returned {_shown(value)}, expected {wanted}") from None
    if len(values) != count:
        raise PluginFault(
            f"returned {len(values)} rewards for {count} response{'s' if count > 1 else ''}"
        )
    return values


def _verl_score(value: Mapping[str, Any]) -> Score:
    if "score" not in value:
        raise PluginFault(f"returned a mapping without 'score': {_shown(value)}")
    told = {k: v for k, v in value.items() if k != "score"}
    numbers = {k: float(v) for k, v in told.items() if isinstance(v, int | float)}
    texts = [f"{k}={v:.{_SHOWN}}" for k, v in told.items() if isinstance(v, str)]
    return Score(
        reward=number_in(value["score"], "a number as 'score'"),
        correct=bool(told["acc"]) if "acc" in told else None,
        reason=", ".join(texts),
        answer=str(told.get("pred", "")),
        components=numbers,
    )


def _wanted(style: Style) -> str:
    return {
        "temper": "a number, a Verdict or None",
        "group": "a list of numbers, Verdicts or None",
        "trl": "a list of numbers or None",
        "verl": "a number or a mapping with 'score'",
    }[style.kind]


def _accepts(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    if name in parameters:
        return True
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _is_required(parameter: inspect.Parameter) -> bool:
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in loose


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
