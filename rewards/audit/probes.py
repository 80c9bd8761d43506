"""What `temper verify` asks a verifier: responses of which is known whether they are right.

gold          the right answer, as the recipe's gold_response gives it
bare          the right answer as the data give it, and nothing else
other         another problem's answer
empty, huge, unicode     nothing, far too much, and odd characters
adversarial   asks for a reward without being right
given         lines of a file of the user's
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from rewards.audit.adversarial import ATTACKS, attack
from rewards.types import JSON, Problem

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
FEW = 5  # problems that the costly probes are made of
_CANDIDATES = 20  # in a list of answers


class Expect(Enum):
    """What the verdict should say."""

    CORRECT = "correct"
    WRONG = "wrong"
    ANYTHING = "anything"  # any verdict will do, but there should be one


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One response, and what is known of it."""

    kind: str
    name: str  # tells it from the others of its kind
    problem: Problem
    response: str
    expect: Expect
    reward: float | None = None  # where a user's file states the reward


def probes(
    problems: Sequence[Problem], gold_response: str, *, sample: int, seed: int
) -> list[Probe]:
    """Probes on a seeded sample of the problems that have an answer; 0 takes all of them."""
    answered = [problem for problem in problems if problem.answer]
    rng = np.random.default_rng((seed, 2))
    count = min(sample or len(answered), len(answered))
    chosen = [answered[i] for i in sorted(rng.choice(len(answered), count, replace=False))]
    found = [
        Probe(
            kind=kind,
            name=problem.id,
            problem=problem,
            response=text.replace("{answer}", problem.answer),
            expect=expect,
        )
        for problem in chosen
        for kind, text, expect in (
            ("gold", gold_response, Expect.CORRECT),
            ("bare", "{answer}", Expect.ANYTHING),
        )
    ]
    for problem in chosen:
        wrong = _other_answer(problem, answered, rng)
        if wrong:
            response = gold_response.replace("{answer}", wrong)
            found.append(_wrong("other", f"{problem.id}: {wrong:.40}", problem, response))
    for problem in chosen[:FEW]:
        for kind, texts in _ODD.items():
            for name, text in texts.items():
                response = text.replace("{box}", gold_response.replace("{answer}", _BOXED[kind]))
                found.append(_wrong(kind, f"{problem.id}: {name}", problem, response))
        found += _attacks(problem, answered, gold_response, rng)
    return found


def _wrong(kind: str, name: str, problem: Problem, response: str) -> Probe:
    return Probe(kind=kind, name=name, problem=problem, response=response, expect=Expect.WRONG)


_ODD = {
    "empty": {"nothing": "", "spaces": "   ", "line ends": "\n\n\n", "null": "\x00"},
    "huge": {
        "prose": "words without end " * 50_000,
        "one word": "a" * 1_000_000,
        "many answers": "{box}" * 2_000,
        "brackets": "(" * 100_000,
        "braces": "{" * 100_000 + "}" * 100_000,
        "backslashes": "\\" * 100_000,
    },
    "unicode": {
        "emoji": "{box} \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "right to left": "\u202e\u0623\u062d\u062f {box}",
        "combining": "a" + "\u0301" * 1000 + " {box}",
        "zero width": "{box}\u200b\u200c\u200d\ufeff",
        "lone surrogate": "\ud800 {box}",
        "control": "".join(map(chr, range(1, 32))) + " {box}",
    },
}
# What the boxes of the odd responses hold: nobody's answer.
_BOXED = {"empty": "", "huge": "-987654321.25", "unicode": "\u2603\u0660\uff11"}


def _attacks(
    problem: Problem,
    problems: Sequence[Problem],
    gold_response: str,
    rng: np.random.Generator,
) -> Iterator[Probe]:
    wrong = _other_answer(problem, problems, rng) or f"{problem.answer}1"
    drawn = rng.choice(len(problems), min(_CANDIDATES, len(problems)), replace=False)
    many = ", ".join([*(problems[i].answer for i in drawn), problem.answer, wrong])
    right = gold_response.replace("{answer}", problem.answer)
    for name, template in ATTACKS.items():
        response = attack(
            template,
            gold=problem.answer,
            wrong=wrong,
            many=many,
            prompt=problem.messages[-1].content if problem.messages else "",
            gold_response=gold_response,
        )
        numbers = {float(number) for number in _NUMBER.findall(template)}
        if "{gold}" not in template and (right in response or _plain(problem.answer) in numbers):
            continue  # the attack happens to be this problem's answer
        if name == "longer than it" and "\n" in problem.answer:
            continue  # what follows a program's last line may never run
        yield _wrong("adversarial", f"{problem.id}: {name}", problem, response)


def _other_answer(problem: Problem, problems: Sequence[Problem], rng: np.random.Generator) -> str:
    """Another problem's answer that does not read like this one's; empty when there is none."""
    for i in rng.permutation(len(problems))[:50]:
        if _plain(problems[i].answer) != _plain(problem.answer):
            return str(problems[i].answer)
    return ""


def _plain(answer: str) -> str | float:
    """A number for a number, otherwise the last line without spaces and case."""
    last = answer.rstrip().rpartition("\n")[2].rpartition("####")[2]
    bare = "".join(last.split()).lower().strip("$.").replace(",", "")
    try:
        return float(bare)
    except ValueError:
        return bare


def given(lines: Sequence[tuple[str, dict[str, JSON]]], problems: Sequence[Problem]) -> list[Probe]:
    """Probes from a user's lines `{"id" or "answer", "response", "expected"}`, with their places.

    expected: true or false (is it correct), a number (the reward), or nothing. Raises ValueError
    whose text names the place.
    """
    known = {problem.id: problem for problem in problems}
    found: list[Probe] = []
    for place, line in lines:
        response, expected = line.get("response"), line.get("expected")
        if not isinstance(response, str):
            raise ValueError(f"{place}: no text under 'response'")
        if "id" in line and str(line["id"]) in known:
            problem = known[str(line["id"])]
        elif "answer" in line:
            columns = {k: v for k, v in line.items() if k not in ("response", "expected", "answer")}
            problem = Problem(id=place, messages=(), answer=str(line["answer"]), columns=columns)
        else:
            raise ValueError(f"{place}: neither an 'answer' nor the 'id' of a problem")
        if isinstance(expected, bool):
            expect = Expect.CORRECT if expected else Expect.WRONG
        elif expected is None or isinstance(expected, int | float):
            expect = Expect.ANYTHING
        else:
            raise ValueError(f"{place}: 'expected' is {expected!r}, not true, false or a number")
        number = not isinstance(expected, bool) and isinstance(expected, int | float)
        probe = Probe(
            kind="given",
            name=place,
            problem=problem,
            response=response,
            expect=expect,
            reward=float(expected) if number and expected is not None else None,
        )
        found.append(probe)
    return found
