"""A reward function of the user's own, or of another library."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from recipes.errors import Fault, RecipeError, did_you_mean
from recipes.slots.spec import AtOnce, Duration, Megabytes, NotHashed, Parallel, Signed
from rewards.calling import group_of
from rewards.plugins.functions import (
    PluginAnswer,
    PluginSpec,
    Pool,
    inspect_plugin,
    plugin_facts,
    score,
)
from rewards.plugins.source import look_at_source
from rewards.types import JSON, Problem, Verdict
from rewards.verifiers import verifier

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Defaults that a caller must not change; a list or a dict in a signature is shared by all calls.
_NO_OPTIONS: dict[str, JSON] = {}
_NO_ARGUMENTS: dict[str, str] = {}
_NO_WEIGHTS: list[float] = []
_NO_NAMES: list[str] = []

# The options of `plugin`, in their order.
Functions = Annotated[
    str | list[str],
    Field(
        min_length=1,
        description="Function or class: path/to/file.py:name, package.module:name, or an "
        "entry point of the group temper.verifiers; of a list, the rewards are added",
    ),
]
Kind = Annotated[
    Literal["auto", "temper", "group", "trl", "verl", "class"],
    Field(description="Signature style; auto infers it from the parameter names"),
]
Options = Annotated[
    dict[str, JSON], Field(description="Keyword arguments of the function or the class")
]
Arguments = Annotated[
    dict[str, str],
    Field(
        description="Parameters with other names, and what each gets: response, "
        "responses, answer, prompt, problem, or a column as `reward_model.ground_truth`"
    ),
]
Weights = Annotated[list[Signed], Field(description="Weights of the functions; [] = 1 each")]
Deciding = Annotated[
    str | list[str],
    Field(
        description="Function that decides whether the answer is correct, of several the first "
        "that is for the sample; required for more than one function"
    ),
]
CorrectAt = Annotated[
    Signed, Field(description="Smallest reward of that function that counts as correct")
]
CallDeadline = Annotated[
    Duration, Field(description="Time limit of one call in seconds, for each response in it")
]
SetupLimit = Annotated[
    Duration, Field(description="Time limit for import and set-up in each process, in seconds")
]
Processes = Annotated[
    Parallel,
    NotHashed(),
    Field(description="Number of worker processes; 0 = one per core, 4 at most"),
]
Concurrent = Annotated[
    AtOnce, Field(description="Concurrent calls of an async function in one process")
]
Memory = Annotated[
    Megabytes,
    NotHashed(),
    Field(description="Memory that one process may allocate in MiB; 0 = unlimited"),
]
Variables = Annotated[
    list[str], Field(description="Names of environment variables that the function may read")
]
AnswerColumn = Annotated[
    str, Field(description="Keyword under which a TRL function receives the gold answer")
]
CompletionFormat = Annotated[
    Literal["text", "messages"],
    Field(description="Format of prompts and completions for a TRL function"),
]
TokenizerName = Annotated[
    str,
    Field(description="Tokenizer folder or hub name, which gives TRL functions `completion_ids`"),
]


def _fits_together(
    *,
    function: str | list[str],
    weights: list[float],
    correct: str | list[str],
    environment: list[str],
    **_: object,
) -> None:
    """What can be said without running anything: a recipe may be a stranger's."""
    functions = [function] if isinstance(function, str) else function
    names = [each.rpartition(":")[2] for each in functions]
    deciding = [correct] if isinstance(correct, str) and correct else list(correct)
    unknown = [name for name in deciding if name not in names]
    faults: list[Fault] = []

    def refuse(path: str, what: str, fix: str) -> None:
        faults.append(Fault(path=path, what=what, fix=fix))

    if len(set(names)) < len(names):
        refuse(
            "function",
            f"two of the functions have the same name ({', '.join(names)})",
            "give one another name: each is logged under its own",
        )
    if len(names) > 1 and not deciding:
        refuse(
            "correct",
            f"{len(names)} functions, and none is named to say what is correct",
            f"name one, `correct: {names[0]}`: pass rates, filters and `reward/correct` follow it, "
            "and not the sum",
        )
    if unknown:
        refuse(
            "correct",
            f"there is no function called '{unknown[0]}'",
            f"{did_you_mean(unknown[0], names)}(functions: {', '.join(names)})",
        )
    if weights and len(weights) != len(functions):
        refuse(
            "weights",
            f"{len(weights)} weights for {len(functions)} functions",
            "give one a function, or none",
        )
    if not all(_VARIABLE.fullmatch(name) for name in environment):
        refuse(  # which does not show it: it may be the secret itself
            "environment",
            "not the name of an environment variable: letters, digits and _",
            "put the value into a variable and write the variable's name here",
        )
    if faults:
        raise RecipeError(faults)
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
    function: Functions,
    kind: Kind = "auto",
    options: Options = _NO_OPTIONS,
    arguments: Arguments = _NO_ARGUMENTS,
    weights: Weights = _NO_WEIGHTS,
    correct: Deciding = _NO_NAMES,
    correct_at: CorrectAt = 1.0,
    deadline_s: CallDeadline = 10.0,
    setup_s: SetupLimit = 120.0,
    workers: Processes = 0,
    concurrent: Concurrent = 16,
    memory_mb: Memory = 4096,
    environment: Variables = _NO_NAMES,
    answer_column: AnswerColumn = "answer",
    completions: CompletionFormat = "text",
    tokenizer: TokenizerName = "",
) -> Verdict:
    """What a function, an async function or a class says of the response, in a killable worker.

    Takes a function of our own kind, TRL's, verl's, or a class with `setup` and `__call__`; see
    docs/write-a-verifier.md. An exception, a NaN, a wrong number of rewards or no answer within
    the deadline is a missing verdict. So is None from every function, "not for me"; None from one
    of several leaves that one out. With several functions a failure of one is missing as a whole.
    A function with lists (`responses`, TRL's, verl's plural names) is called with all responses to
    a problem; any other with one at a time. `completion_ids` are those of the text encoded again.
    Columns arrive as JSON has them.

    Returns a verdict with the function's reward, or the weighted sum over several. The function
    that `correct` names says whether the answer is correct, or its reward from `correct_at` on.
    Components: each function by its name when there are several, and what it logged itself.
    """
    pool = Pool(
        workers=workers,
        concurrent=concurrent,
        memory_mb=memory_mb,
        setup_s=setup_s,
        environment=tuple(environment),
    )
    specs = _specs(function, kind, options, arguments, answer_column, completions, tokenizer)
    answers = await asyncio.gather(
        *(_answer(spec, pool, problem, response, deadline_s) for spec in specs)
    )
    deciding = [correct] if isinstance(correct, str) and correct else list(correct)
    return _verdict(
        {spec.name: answer for spec, answer in zip(specs, answers, strict=True)},
        dict(zip([spec.name for spec in specs], weights or [1.0] * len(specs), strict=True)),
        deciding or [specs[0].name],
        correct_at,
    )


async def _answer(
    spec: PluginSpec, pool: Pool, problem: Problem, response: str, deadline_s: float
) -> PluginAnswer:
    """From a call with the response, or from the one call with all of its group."""
    if not plugin_facts(spec, pool.environment).takes_group:
        [answer] = await score(spec, pool, problem, [response], deadline_s=deadline_s)
        return answer
    group, index = group_of(problem, response)
    answers = await group.once(
        spec, lambda: score(spec, pool, problem, group.responses, deadline_s=deadline_s)
    )
    return answers[index]


def specs_of(options: Mapping[str, JSON]) -> list[PluginSpec]:
    """The functions of an entry with these options."""
    names = ("function", "kind", "options", "arguments", "answer_column", "completions")
    return _specs(*(options[name] for name in (*names, "tokenizer")))


def _specs(
    function: str | Sequence[str],
    kind: str,
    options: Mapping[str, JSON],
    arguments: Mapping[str, str],
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
            arguments=tuple(arguments.items()),
            answer_column=answer_column,
            completions=completions,
            tokenizer=tokenizer,
        )
        for name in names
    ]


def _verdict(
    answers: Mapping[str, PluginAnswer],
    weights: Mapping[str, float],
    deciding: Sequence[str],
    correct_at: float,
) -> Verdict:
    faults = [answer.fault for answer in answers.values() if answer.fault]
    if faults:
        return Verdict.missing("; ".join(faults))
    told = {name: answer for name, answer in answers.items() if answer.reward is not None}
    if not told:
        return Verdict.missing(f"no function was for this sample ({', '.join(answers)} gave None)")
    decides = next((told[name] for name in deciding if name in told), None)
    if decides is None or decides.reward is None:
        names = ", ".join(deciding)
        return Verdict.missing(f"nothing says whether it is correct ({names} gave None)")
    said = decides.reward >= correct_at if decides.correct is None else decides.correct
    several = len(answers) > 1
    components: dict[str, float] = {}
    for name, answer in told.items():
        if several:
            components[name] = answer.reward or 0.0
        components |= {f"{name}/{k}" if several else k: v for k, v in answer.components}
    return Verdict.scored(
        sum(weights[name] * (answer.reward or 0.0) for name, answer in told.items()),
        correct=said,
        reason="; ".join(answer.reason for answer in told.values() if answer.reason),
        answer=next((answer.answer for answer in told.values() if answer.answer), ""),
        components=components,
    )
