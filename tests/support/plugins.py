"""Functions of tests/support/strangers.py as plug-in verifiers, asked about responses."""

import asyncio
from pathlib import Path

import pytest

from recipes.slots.registry import function_of
from rewards.calling import judge_group
from rewards.verifiers import verifier
from tests.support.builders import problem

STRANGERS = Path(__file__).parent / "strangers.py"
slow = pytest.mark.slow  # each starts a process


def entry(function, **options):
    functions = [function] if isinstance(function, str) else function
    named = [f"{STRANGERS}:{name}" for name in functions]
    return {"name": "plugin", "function": named[0] if len(named) == 1 else named, **options}


def ask(function, *responses, answer="2", columns=None, **options):
    """The verdicts on the responses, in order, from one pool."""
    bound = function_of(verifier.bind(entry(function, **options)))
    asked = problem(answer=answer, columns={"wanted": "x", **(columns or {})})

    async def in_turn():
        return [await bound(asked, response) for response in responses]

    verdicts = asyncio.run(in_turn())
    return verdicts[0] if len(verdicts) == 1 else verdicts


def ask_group(function, *responses, columns=None, **options):
    """The verdicts on responses that are judged together."""
    bound = function_of(verifier.bind(entry(function, **options)))
    asked = problem(answer="2", columns=columns or {})
    return asyncio.run(judge_group(bound, asked, responses))
