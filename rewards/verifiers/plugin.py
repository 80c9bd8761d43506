"""A reward function of the user's own, or of another library."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from recipes.errors import Fault, RecipeError
from recipes.slots.spec import NotHashed
from rewards.plugins.functions import Answer, PluginSpec, Pool, inspect_plugin, score
from rewards.plugins.source import look_at_source
from rewards.types import JSON, Problem, Verdict
from rewards.verifiers import verifier

_NO_OPTIONS: dict[str, JSON] = {}
_NO_WEIGHTS: list[float] = []
_NO_VARIABLES: list[str] = []
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _fits_together(
    *, function: str | list[str], weights: list[float], environment: list[str], **_: object
) -> None:
    """What can be said without running anything: a recipe may be a stranger's."""
    functions = [function] if isinstance(function, str) else function
    names = [each.rpartition(":")[2] for each in functions]
    if len(set(names)) < len(names):
        raise RecipeError.of(
            f"two of the functions have the same name ({', '.join(names)})",
            path="function",
            fix="give one another name: each is logged under its own",
        )
    if weights and len(weights) != len(functions):
        raise RecipeError.of(
            f"{len(weights)} weights for {len(functions)} functions",
            path="weights",
            fix="give one a function, or none",
        )
    if not all(_VARIABLE.fullmatch(name) for name in environment):
        raise RecipeError.of(  # which does not show it: it may be the secret itself
            "not the name of an environment variable: letters, digits and _",
            path="environment",
            fix="put the value into a variable and write the variable's name here",
        )
    with _of_the_function():
        for each in functions:
            look_at_source(each)


def _can_be_called(*, environment: list[str], **options: Any) -> None:
    """Import every function in a worker, when a run begins."""
    with _of_the_function():
        for spec in specs_of(options):
            inspect_plugin(spec, environment)


@contextmanager
def _of_the_function() -> Iterator[None]:
    """Within it a fault is one of the option `function`."""
    try:
        yield
    except RecipeError as error:
        faults = [Fault(path="function", what=f.what, fix=f.fix) for f in error.faults]
        raise RecipeError(faults) from None


@verifier.register(tags=("plugin",), validate=_fits_together, on_run_start=_can_be_called)
async def plugin(
    problem: Problem,
    response: str,
    *,
    function: Annotated[
        str | list[str],
        Field(
            min_length=1,
            description="Function or class: path/to/file.py:name, package.module:name, or an "
            "entry point of the group "
            "temper.verifiers; of a list, the rewards are added",
        ),
    ],
    kind: Annotated[
        Literal["auto", "temper", "trl", "verl", "class"],
        Field(description="Signature style; auto infers it from the parameter names"),
    ] = "auto",
    options: Annotated[
        dict[str, JSON], Field(description="Keyword arguments of the function or the class")
    ] = _NO_OPTIONS,
    weights: Annotated[list[float], Field(description="Weights of the functions; [] = 1 each")] = (
        _NO_WEIGHTS
    ),
    correct_at: Annotated[
        float,
        Field(description="Smallest reward that counts as correct, unless the function decides"),
    ] = 1.0,
    deadline_s: Annotated[
        float,
        NotHashed(),
        Field(gt=0, description="Time limit of one call in seconds"),
    ] = (10.0),
    setup_s: Annotated[
        float,
        NotHashed(),
        Field(gt=0, description="Time limit for import and set-up in each process, in seconds"),
    ] = 120.0,
    workers: Annotated[
        int,
        NotHashed(),
        Field(ge=0, description="Number of worker processes; 0 = one per core, 4 at most"),
    ] = 0,
    memory_mb: Annotated[
        int, Field(ge=0, description="Address space limit of a process in MiB; 0 = unlimited")
    ] = 0,
    environment: Annotated[
        list[str], Field(description="Names of environment variables that the function may read")
    ] = _NO_VARIABLES,
    answer_column: Annotated[
        str, Field(description="Keyword under which a TRL function receives the gold answer")
    ] = "answer",
    completions: Annotated[
        Literal["text", "messages"],
        Field(description="Format of prompts and completions for a TRL function"),
    ] = "text",
    tokenizer: Annotated[
        str,
        Field(
            description="Tokenizer folder or hub name, which gives TRL functions `completion_ids`"
        ),
    ] = "",
) -> Verdict:
    """What a function, an async function or a class says of the response, in a killable worker.

    Takes a function of our own kind, TRL's, verl's, or a class with `setup` and `__call__`; see
    docs/write-a-verifier.md. An exception, a NaN, a wrong number of rewards or no answer within
    the deadline is a missing verdict. So is None from every function, "not for me"; None from one
    of several leaves that one out. With several functions a failure of one is missing as a whole.
    Called for one response at a time: a function that compares the responses of a group belongs
    into shaping or the advantage. `completion_ids` are those of the text encoded again. Columns
    arrive as JSON has them.

    Returns a verdict with the function's reward, or the weighted sum over several, which is correct
    from `correct_at` on unless the function says so itself. Components: each function by its name
    when there are several, and what it logged itself.
    """
    pool = Pool(
        workers=workers,
        memory_mb=memory_mb,
        setup_s=setup_s,
        environment=tuple(environment),
    )
    specs = _specs(function, kind, options, answer_column, completions, tokenizer)
    running = pool.open()
    calls = (score(spec, running, problem, response, deadline_s=deadline_s) for spec in specs)
    answers = await asyncio.gather(*calls)
    return _verdict(specs, answers, weights or [1.0] * len(specs), correct_at)


def specs_of(options: Mapping[str, JSON]) -> list[PluginSpec]:
    """The functions of an entry with these options."""
    names = ("function", "kind", "options", "answer_column", "completions", "tokenizer")
    return _specs(*(options[name] for name in names))


def _specs(
    function: str | Sequence[str],
    kind: str,
    options: Mapping[str, JSON],
    answer_column: str,
    completions: str,
    tokenizer: str,
) -> list[PluginSpec]:
    names = [function] if isinstance(function, str) else function
    return [
        PluginSpec(
            function=name,
            kind=kind,
            options=tuple((key, json.dumps(value)) for key, value in options.items()),
            answer_column=answer_column,
            completions=completions,
            tokenizer=tokenizer,
        )
        for name in names
    ]


def _verdict(
    specs: Sequence[PluginSpec],
    answers: Sequence[Answer],
    weights: Sequence[float],
    correct_at: float,
) -> Verdict:
    faults = [answer.fault for answer in answers if answer.fault]
    if faults:
        return Verdict.missing("; ".join(faults))
    told = [
        (spec.name, answer, weight * answer.reward)
        for spec, answer, weight in zip(specs, answers, weights, strict=True)
        if answer.reward is not None
    ]
    if not told:
        names = ", ".join(spec.name for spec in specs)
        return Verdict.missing(f"no function was for this sample ({names} gave None)")
    reward = sum(value for _, _, value in told)
    said = [answer.correct for _, answer, _ in told if answer.correct is not None]
    several = len(specs) > 1
    components: dict[str, float] = {}
    for name, answer, _ in told:
        if several and answer.reward is not None:
            components[name] = answer.reward
        components |= {f"{name}/{k}" if several else k: value for k, value in answer.components}
    return Verdict.scored(
        reward,
        correct=all(said) if said else reward >= correct_at,
        reason="; ".join(answer.reason for _, answer, _ in told if answer.reason),
        answer=next((answer.answer for _, answer, _ in told if answer.answer), ""),
        components=components,
    )
