"""Registered verifiers outside of temper: in a notebook, in TRL's trainers, in verl.

    score("math_equal", "1/2", "0.5")  one verdict
    as_trl("math_equal")               reward(prompts, completions, **columns) -> [1.0, None, ...]
    as_verl("math_equal")              compute_score(data_source, solution_str, ground_truth, ...)

A verifier is named as in a recipe, `"math_equal"` or `{"name": "numeric", "marker": "#"}`; a
function of a file is a plug-in, `"mine.py:score"`. What it needs is opened when it is named, and
closed at the end of the process, so a second call finds its workers running. Verifiers run on an
event loop in another thread: the caller may have a running loop, as Jupyter has.

A verdict that is missing never becomes a reward of 0: see each function.
"""

import asyncio
import atexit
import dataclasses
import functools
import itertools
import json
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from recipes.errors import RecipeError
from recipes.slots.registry import call_on_run_start, function_of
from rewards.background import Background
from rewards.calling import call_verifier, judge_group
from rewards.types import JSON, Message, Problem, Verdict
from rewards.verifiers import Verifier, verifier

log = logging.getLogger(__name__)

T = TypeVar("T")
Prompt = str | Sequence[Mapping[str, JSON]]  # text, or messages with role and content
_TRL_OWN = ("completion_ids", "trainer_state", "log_extra", "environments")  # not columns
_REASONS = 100  # that are logged, each once


class NoVerdict(Exception):
    """The verifier gave no verdict, where verl needs a number; says why."""


def score(
    spec: str | Mapping[str, JSON],
    answer: JSON,
    text: str,
    /,
    *,
    prompt: Prompt = "",
    columns: Mapping[str, JSON] | None = None,
    row_verifier: str = "",
    **options: JSON,
) -> Verdict:
    """The verdict of a registered verifier on the response `text`, with `answer` as gold answer.

    columns: other columns of the row, such as the tests that `code_tests` runs
    row_verifier: which verifier of `by_row` judges it
    options: of the verifier, besides those in `spec`; one that is called `columns` goes there

    Raises RecipeError for an unknown verifier or option. A failure is a verdict that is missing.
    """
    _, ask = _started(spec, options)
    problem = _problem("score", prompt, answer, columns or {}, row_verifier)
    return _waited(call_verifier(ask, problem, text))


def as_trl(
    spec: str | Mapping[str, JSON],
    /,
    *,
    answer_column: str = "answer",
    verifier_column: str = "",
    name: str = "",
) -> Callable[..., list[float | None]]:
    """A reward function for `reward_funcs` of TRL's trainers, for text and for conversations.

    answer_column: column of the data with the gold answer; "" for a verifier that needs none
    verifier_column: column with the name of the row's verifier, for `by_row`
    name: under which TRL logs it; that of the verifier if empty

    Neighbouring completions of one row are a group, for verifiers that compare responses. A
    missing verdict is None, which TRL leaves out of its sums; the reason is logged as a warning,
    and the share of missing verdicts as the metric `<name>/missing_frac`.
    """
    own_name, ask = _started(spec, {})
    noted: set[str] = set()

    def reward(
        prompts: Sequence[Prompt],
        completions: Sequence[Prompt],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        rows = {key: values for key, values in columns.items() if key not in _TRL_OWN}
        for column in filter(None, (answer_column, verifier_column)):
            if column not in rows:
                known = ", ".join(rows) or "none besides the prompt"
                raise RecipeError.of(
                    f"{reward.__name__}: the data has no column '{column}' (columns: {known})",
                    fix="name it in as_trl(..., answer_column=...), '' for a verifier without one",
                )
        problems = [
            _problem(
                "trl",
                prompt,
                rows[answer_column][i] if answer_column else "",
                {k: v[i] for k, v in rows.items() if k not in (answer_column, verifier_column)},
                rows[verifier_column][i] if verifier_column else "",
            )
            for i, prompt in enumerate(prompts)
        ]
        responses = [_text(completion) for completion in completions]
        verdicts = _waited(_by_group(ask, problems, responses))
        _note_missing(reward.__name__, verdicts, noted)
        if log_metric is not None and verdicts:
            missing = sum(verdict.is_missing for verdict in verdicts)
            log_metric(f"{reward.__name__}/missing_frac", missing / len(verdicts))
        return [None if verdict.is_missing else verdict.reward for verdict in verdicts]

    reward.__name__ = name or own_name
    return reward


def as_verl(
    spec: str | Mapping[str, JSON], /, *, prompt_key: str = "", missing: float | None = None
) -> Callable[..., dict[str, JSON]]:
    """A `compute_score` for verl's `custom_reward_function`, which is called for one response.

    prompt_key: entry of `extra_info` with the prompt, for judges and reward models
    missing: score of a response without a verdict; None raises NoVerdict, for verl has no way to
        leave a response out

    The row's verifier of `by_row` is verl's `data_source`. Returns `score`, `acc` (is it correct)
    and `pred` (the extracted answer).
    """
    own_name, ask = _started(spec, {})
    noted: set[str] = set()

    def compute_score(
        data_source: str,
        solution_str: str,
        ground_truth: JSON,
        extra_info: Mapping[str, JSON] | None = None,
        **_: object,
    ) -> dict[str, JSON]:
        info = dict(extra_info or {})
        if prompt_key and prompt_key not in info:
            raise RecipeError.of(
                f"{own_name}: extra_info has no '{prompt_key}' (keys: {', '.join(info) or 'none'})",
                fix="name the entry that holds the prompt, as_verl(..., prompt_key=...)",
            )
        columns = {
            "data_source": data_source,
            "reward_model": {"ground_truth": ground_truth},
            "extra_info": info,
        }
        prompt = info[prompt_key] if prompt_key else ""
        problem = _problem("verl", prompt, ground_truth, columns, data_source)
        verdict = _waited(call_verifier(ask, problem, solution_str))
        if not verdict.is_missing:
            return {"score": verdict.reward, "acc": verdict.correct, "pred": verdict.answer}
        if missing is None:
            raise NoVerdict(
                f"{own_name}: {verdict.reason}; as_verl(..., missing=<number>) gives such "
                "responses a score instead"
            )
        _note_missing(own_name, [verdict], noted)
        return {"score": missing, "acc": False, "pred": ""}

    return compute_score


# -- asking --------------------------------------------------------------------------------------


def _started(spec: str | Mapping[str, JSON], options: Mapping[str, JSON]) -> tuple[str, Verifier]:
    """Its name, and the verifier with its options once what it needs is open."""
    if isinstance(spec, str):
        entry = {"name": "plugin", "function": spec} if ":" in spec else {"name": spec}
        own_name = spec.rpartition(":")[2]
    else:
        entry, own_name = dict(spec), ""
    bound = verifier.bind({**entry, **options})
    call_on_run_start(bound)
    return own_name or bound.name, function_of(bound)


@functools.cache
def _loop() -> Background:
    """Apart from `background()`, which verifiers may wait for without leaving their loop."""
    made = Background()
    atexit.register(made.close)
    return made


os.register_at_fork(after_in_child=_loop.cache_clear)  # a forked child has not the thread


def _waited(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; a caller that is interrupted cancels it."""
    future = _loop().submit(work)
    try:
        return future.result()
    finally:
        future.cancel()


async def _by_group(
    ask: Verifier, problems: Sequence[Problem], responses: Sequence[str]
) -> list[Verdict]:
    """All verdicts, in order; neighbours with equal problems are judged as a group."""
    verify = functools.partial(call_verifier, ask)
    contents = [  # as text, because columns may hold arrays, which have no one equality, and NaN
        repr((p.messages, p.answer, p.verifier, sorted(p.columns.items()))) for p in problems
    ]
    groups = [
        list(places)
        for _, places in itertools.groupby(range(len(problems)), key=contents.__getitem__)
    ]
    verdicts = await asyncio.gather(
        *(
            judge_group(
                verify,
                dataclasses.replace(problems[places[0]], id=f"prompt-{places[0]}"),
                [responses[place] for place in places],
            )
            for places in groups
        )
    )
    return [verdict for group in verdicts for verdict in group]


def _note_missing(name: str, verdicts: Sequence[Verdict], noted: set[str]) -> None:
    for reason in (verdict.reason for verdict in verdicts if verdict.is_missing):
        if reason not in noted and len(noted) < _REASONS:
            noted.add(reason)
            log.warning("%s gave no verdict: %s", name, reason)


# -- their words to ours -------------------------------------------------------------------------


def _problem(
    source: str, prompt: Prompt, answer: JSON, columns: Mapping[str, JSON], row_verifier: str
) -> Problem:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return Problem(
        id=source,
        messages=tuple(
            Message(role=message["role"], content=_content(message))
            for message in messages
            if message.get("content")
        ),
        answer=_answer(answer),
        verifier=row_verifier or "",
        columns=dict(columns),
    )


def _answer(value: JSON) -> str:
    """A gold answer as text: a list's elements with commas between them, None as nothing."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list() | tuple():
            return ", ".join(_answer(item) for item in value)
        case Mapping():
            return json.dumps(value, default=str)
        case _:
            return str(value)


def _text(completion: Prompt) -> str:
    """A completion as text: of a conversation, what the assistant wrote."""
    if isinstance(completion, str):
        return completion
    said = [_content(message) for message in completion if message["role"] == "assistant"]
    return "\n\n".join(text for text in said if text)


def _content(message: Mapping[str, JSON]) -> str:
    """A message's text, also where it is a list of parts with pictures among them."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] == "text")
    return content or ""
