"""Preference pairs from a file: a task, the response that was preferred, and the other one.

{"prompt": "...", "chosen": "...", "rejected": "..."}          texts, or lists of messages
{"chosen": [...], "rejected": [...]}                           whole conversations, prompt: ''
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from recipes.errors import Fault
from recipes.slots.registry import did_you_mean
from recipes.slots.spec import JSON, Spec
from rewards.types import Message
from rollout.data.ranked_pairs import FactorSpec, margins_of, preferred, scored_responses
from rollout.data.rows import messages_of
from rollout.data.tables import Line, Split, Subset, TablePath, read, refuse


class PairColumns(Spec):
    """Which column holds what; the others are ignored."""

    prompt: Annotated[
        str, Field(description="a string or messages; '' where the pair holds conversations")
    ] = "prompt"
    chosen: Annotated[str, Field(min_length=1, description="the preferred response")] = "chosen"
    rejected: Annotated[str, Field(min_length=1, description="the other one")] = "rejected"
    responses: Annotated[
        str, Field(min_length=1, description="instead of these two where there are `factors`")
    ] = "responses"


class PairsSpec(Spec):
    """Where preference pairs come from, and how many are kept apart."""

    path: TablePath
    split: Split = "train"
    subset: Subset = ""
    columns: PairColumns = PairColumns()
    factors: Annotated[
        list[FactorSpec],
        Field(description="the most important first: which of a row's responses is preferred"),
    ] = []
    limit: Annotated[int, Field(ge=0, description="first rows only; 0 takes all")] = 0
    held_out: Annotated[
        float, Field(gt=0, lt=1, description="share of the pairs that is never trained on")
    ] = 0.1
    seed: Annotated[int, Field(ge=0, description="which prompts are held out")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One comparison."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs to train on and pairs to be judged by; no prompt is on both sides."""

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    equal: int  # left out: both responses are the same text, or no factor decides

    @property
    def report(self) -> str:
        """One line for the user."""
        without = f", {self.equal} left out that are equal or undecided" if self.equal else ""
        return f"pairs: {len(self.train)} to train on, {len(self.held_out)} held out{without}"


def load_pairs(spec: PairsSpec) -> Pairs:
    """Every pair of the file, split by prompt. Raises RecipeError with up to ten faults."""
    found = read_pairs(spec)
    pairs = [pair for pair in found if pair is not None and pair.chosen != pair.rejected]
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    order = np.random.default_rng((spec.seed, 2)).permutation(len(prompts))
    wanted, counts = spec.held_out * len(pairs), dict.fromkeys(prompts, 0)
    for pair in pairs:
        counts[pair.prompt] += 1
    apart: set[tuple[Message, ...]] = set()
    taken = 0
    for place in order.tolist():
        if taken >= wanted:
            break
        apart.add(prompts[place])
        taken += counts[prompts[place]]
    split = Pairs(
        train=tuple(pair for pair in pairs if pair.prompt not in apart),
        held_out=tuple(pair for pair in pairs if pair.prompt in apart),
        equal=len(found) - len(pairs),
    )
    if not split.train or not split.held_out:
        what = f"{len(pairs)} pairs over {len(prompts)} prompts leave nothing to "
        what += "train on" if not split.train else "hold out"
        refuse([Fault(path="pairs.held_out", what=what, fix="add pairs, or change the share")])
    return split


def read_pairs(spec: PairsSpec) -> list[Pair | None]:
    """Every pair in the order of the file; None for two responses that no factor tells apart.

    Raises RecipeError with up to ten faults.
    """
    lines = read(spec.path, split=spec.split, subset=spec.subset)
    lines = lines[: spec.limit] if spec.limit else lines
    _check_columns(lines, spec)
    if spec.factors:
        return _compared(lines, spec)
    made = [_pair(line, spec.columns) for line in lines]
    refuse([fault for fault in made if isinstance(fault, Fault)])
    return [pair for pair in made if isinstance(pair, Pair)]


def _compared(lines: Sequence[Line], spec: PairsSpec) -> list[Pair | None]:
    """Every two responses to a prompt."""
    rows = [scored_responses(line, spec.columns.responses, spec.factors) for line in lines]
    prompts = [_messages(line, spec.columns.prompt, role="user") for line in lines]
    refuse([f for f in (*prompts, *(fault for _, fault in rows)) if isinstance(f, Fault)])
    margins = margins_of([item for items, _ in rows for item in items], spec.factors)
    pairs: list[Pair | None] = []
    for prompt, (items, _) in zip(prompts, rows, strict=True):
        assert not isinstance(prompt, Fault), "refused above"
        for first, second in itertools.combinations(items, 2):
            sign = preferred(first, second, margins)
            texts = (first[0], second[0])[:: sign or 1]
            made = Pair(prompt=prompt, chosen=texts[0], rejected=texts[1])
            pairs.append(made if sign else None)
    return pairs


def _check_columns(lines: Sequence[Line], spec: PairsSpec) -> None:
    known = list(dict.fromkeys(key for line in lines for key in line.values))
    wanted = ("prompt", "responses") if spec.factors else ("prompt", "chosen", "rejected")
    columns = spec.columns.model_dump(include=set(wanted))
    refuse(
        [
            Fault(
                path=f"pairs.columns.{part}",
                what=f"{spec.path} has no column '{column}'",
                fix=f"{did_you_mean(column, known)}say which column it is (columns: "
                f"{', '.join(known)})"
                + ("; '' where the pair holds whole conversations" if part == "prompt" else ""),
            )
            for part, column in columns.items()
            if column and column not in known
        ]
    )


def _pair(line: Line, columns: PairColumns) -> Pair | Fault:
    chosen = _messages(line, columns.chosen, role="assistant")
    rejected = _messages(line, columns.rejected, role="assistant")
    prompt = _messages(line, columns.prompt, role="user") if columns.prompt else ()
    for part in (chosen, rejected, prompt):
        if isinstance(part, Fault):
            return part
    assert not (
        isinstance(chosen, Fault) or isinstance(rejected, Fault) or isinstance(prompt, Fault)
    )
    tasks = [(*prompt, *side[:-1]) for side in (chosen, rejected)]
    if tasks[0] != tasks[1]:
        what = "the two conversations differ before their last message"
        return Fault(where=line.where, what=what, fix="compare two replies to the same task")
    if not tasks[0]:
        what = "there is nothing before the two replies"
        return Fault(where=line.where, what=what, fix="name the column of the prompt")
    for name, side in ((columns.chosen, chosen), (columns.rejected, rejected)):
        if side[-1].role != "assistant":
            what = f"the last message of column '{name}' is not the assistant's"
            return Fault(where=line.where, what=what, fix="end each side with the reply")
    return Pair(prompt=tasks[0], chosen=chosen[-1].content, rejected=rejected[-1].content)


def _messages(line: Line, column: str, *, role: str) -> tuple[Message, ...] | Fault:
    """A text as one message of `role`, or the messages of a list."""
    value: JSON = line.values.get(column)
    if isinstance(value, str) and value.strip():
        return (Message(role=role, content=value),)
    if not isinstance(value, list) or not value:
        return Fault(
            where=line.where,
            what=f"column '{column}' holds {value!r:.80}, expected text or a list of messages",
            fix="every row needs a task and two responses",
        )
    return messages_of(line, column, value)
