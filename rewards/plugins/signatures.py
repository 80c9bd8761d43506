"""The ways in which a reward function may ask to be called, and what it may return.

    temper   score(problem, response), or any of response, answer, prompt, problem by name
             -> a number, a Verdict, or None for "not for me"
    trl      reward(prompts, completions, completion_ids, <columns>, trainer_state, **kwargs)
             -> a list of one number, or None
    verl     compute_score(data_source, solution_str, ground_truth, extra_info)
             -> a number, or a mapping with `score`

Runs inside a worker: only plain data goes in and comes out. Every function is called for one
response at a time, with lists of length one where it expects lists.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.types import JSON, Message, Problem, Verdict

EXPECTED = (
    "expected score(problem, response) or score(response, answer), TRL's "
    "reward(completions, **kwargs), or verl's "
    "compute_score(data_source, solution_str, ground_truth, extra_info)"
)
_OURS = ("problem", "response", "answer", "prompt")
_VERL = ("data_source", "solution_str", "ground_truth", "extra_info")
_SHOWN = 60  # characters of a value in a message


class PluginFault(Exception):
    """The plug-in broke the contract; the text says how, without its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerState:
    """What a TRL function may read of `trainer_state`: training steps done and planned."""

    global_step: int
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One response to be scored."""

    problem: Problem
    response: str
    answer_column: str  # keyword under which a TRL function gets the gold answer
    as_messages: bool  # TRL: prompt and completion as lists of messages, not as text
    completion_ids: list[int] | None  # TRL: ids of the response; None without a tokenizer
    state: TrainerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a plug-in said; `reward` is None for "not for me", `correct` None if it did not say."""

    reward: float | None
    correct: bool | None = None
    missing: bool = False
    reason: str = ""
    answer: str = ""
    components: Mapping[str, float] = field(default_factory=dict)


def style_of(function: Callable[..., Any], options: Mapping[str, JSON]) -> str:
    """`temper`, `trl` or `verl`, by the names of the parameters; PluginFault for none of them."""
    parameters = inspect.signature(function).parameters
    unknown = [name for name in options if not _accepts(function, name)]
    if unknown:
        raise PluginFault(f"takes no option '{unknown[0]}'")
    names = [name for name in parameters if name not in options]
    if "completions" in names:
        return "trl"
    if {"solution_str", "ground_truth"} <= set(names):
        return "verl"
    if "response" in names:
        lacking = [n for n in names if _is_required(parameters[n]) and n not in _OURS]
        if lacking:
            raise PluginFault(f"needs '{lacking[0]}'; set it under `options`")
        return "temper"
    raise PluginFault(f"has a signature of no known kind; {EXPECTED}")


def arguments_of(
    style: str, function: Callable[..., Any], request: Request, options: Mapping[str, JSON]
) -> tuple[dict[str, Any], "Notes"]:
    """The keyword arguments for one call, and the notes that a TRL function may take."""
    notes = Notes()
    offered = {
        "temper": _ours,
        "trl": lambda asked: _trl(asked, notes),
        "verl": _verl,
    }[style](request)
    chosen = {name: value for name, value in offered.items() if _accepts(function, name)}
    given = {**chosen, **options}
    lacking = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if _is_required(parameter) and name not in given
    ]
    if lacking == ["completion_ids"]:
        raise PluginFault("needs completion_ids; set the option `tokenizer` to get them")
    if lacking:
        columns = ", ".join(sorted({*request.problem.columns, request.answer_column}))
        raise PluginFault(f"needs '{lacking[0]}', which is not a column of the row ({columns})")
    return given, notes


def score_of(style: str, value: Any, notes: "Notes") -> Score:
    """What the returned value means; PluginFault when it means nothing."""
    if style == "trl":
        value = _single(value)
    if style == "temper" and isinstance(value, Verdict):
        return Score(
            reward=value.reward,
            correct=value.correct,
            missing=value.is_missing,
            reason=value.reason,
            answer=value.answer,
            components=value.components,
        )
    if style == "verl" and isinstance(value, Mapping):
        return _verl_score(value)
    reward = None if value is None and style != "verl" else number_in(value, _wanted(style))
    return Score(reward=reward, reason=notes.reason, components=notes.metrics)


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

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self._extra: list[str] = []

    @property
    def reason(self) -> str:
        return ", ".join(self._extra)

    def log_extra(self, column: str, values: Sequence[Any]) -> None:
        """A column of the completions table; here component of the verdict's reason."""
        self._extra += [f"{column}={value!s:.{_SHOWN}}" for value in values]

    def log_metric(self, name: str, value: float) -> None:
        """A number that is averaged and logged; here a component of the reward."""
        self.metrics[name] = number_in(value, "a number for log_metric")


def _ours(request: Request) -> dict[str, Any]:
    problem = request.problem
    offered = (problem, request.response, problem.answer, text_of(problem.messages))
    return dict(zip(_OURS, offered, strict=True))


def _verl(request: Request) -> dict[str, Any]:
    columns = dict(request.problem.columns)
    extra = columns.get("extra_info", columns)
    source = columns.get("data_source", "")
    offered = (source, request.response, request.problem.answer, extra)
    return dict(zip(_VERL, offered, strict=True))


def _trl(request: Request, notes: Notes) -> dict[str, Any]:
    problem, response = request.problem, request.response
    columns = {request.answer_column: problem.answer, **problem.columns}
    prompt: Any = text_of(problem.messages)
    completion: Any = response
    if request.as_messages:
        prompt = [{"role": m.role, "content": m.content} for m in problem.messages]
        completion = [{"role": "assistant", "content": response}]
    ids = {} if request.completion_ids is None else {"completion_ids": [request.completion_ids]}
    return {
        **{name: [value] for name, value in columns.items()},
        **ids,
        "prompts": [prompt],
        "completions": [completion],
        "trainer_state": request.state,
        "log_extra": notes.log_extra,
        "log_metric": notes.log_metric,
    }


def text_of(messages: Sequence[Message]) -> str:
    """A prompt as text: the contents of its messages, a blank line between two."""
    return "\n\n".join(message.content for message in messages)


def _single(value: Any) -> Any:
    """The one element of the list that a TRL function returns."""
    if isinstance(value, str | bytes | Mapping):
        raise PluginFault(f"returned {_shown(value)}, expected {_wanted('trl')}")
    try:
        values = list(value)
    except TypeError:
        raise PluginFault(f"returned {_shown(value)}, expected {_wanted('trl')}") from None
    if len(values) != 1:
        raise PluginFault(f"returned {len(values)} rewards for 1 response")
    return values[0]


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


def _wanted(style: str) -> str:
    return {
        "temper": "a number, a Verdict or None",
        "trl": "a list of one number or None",
        "verl": "a number or a mapping with 'score'",
    }[style]


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
