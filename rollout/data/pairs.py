"""Preference pairs from a file: a task, the response that was preferred, and the other one.

{"prompt": "...", "chosen": "...", "rejected": "..."}          texts, or lists of messages
{"chosen": [...], "rejected": [...]}                           whole conversations, prompt: ''
{"prompt": "...", "responses": [{"text": "...", "passed": 3, "words": 40}, ...]}

The third form makes pairs of scored responses, by factors in order of importance (HERON). Of two
responses to a prompt the one is preferred that is better in the first factor in which they differ
by more than its margin; later factors are not looked at. No weights have to be found, and a
factor's scale does not matter. Bukharin et al. 2023, https://arxiv.org/abs/2309.02632. The verifier
`ranked` and the shaping function `heron` use such an order as a reward; this makes the pairs that
a reward model is trained on, as the paper does. With margins the relation is not transitive.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from recipes.errors import Fault
from recipes.slots.spec import JSON, Amount, Count, Seed, Spec
from rewards.types import Message
from rollout.data.rows import messages_of, unknown_column
from rollout.data.tables import Line, Split, Subset, TablePath, read, refuse

ScoredResponse = tuple[str, tuple[float, ...]]  # text, and its factors with larger ones better


class FactorSpec(Spec):
    """One measure of a response."""

    column: Annotated[str, Field(min_length=1, description="Key of the factor in every response")]
    better: Annotated[
        Literal["higher", "lower"], Field(description="Better end of the scale: high or low")
    ] = "higher"
    margin: Annotated[
        Amount,
        Field(
            ge=0,
            description="Smallest difference that counts, in standard deviations of all responses",
        ),
    ] = 0.0


class PairColumns(Spec):
    """Which column holds what; the others are ignored."""

    prompt: Annotated[
        str,
        Field(
            description="Column of the prompt, text or messages; '' where pairs hold whole "
            "conversations"
        ),
    ] = "prompt"
    chosen: Annotated[str, Field(min_length=1, description="Column of the preferred response")] = (
        "chosen"
    )
    rejected: Annotated[str, Field(min_length=1, description="Column of the rejected response")] = (
        "rejected"
    )
    responses: Annotated[
        str,
        Field(
            min_length=1,
            description="Column of all responses, in place of chosen and rejected, with `factors`",
        ),
    ] = "responses"


class PairsSpec(Spec):
    """Where preference pairs come from, and how many are kept apart."""

    path: TablePath
    split: Split = "train"
    subset: Subset = ""
    columns: PairColumns = PairColumns()
    factors: Annotated[
        list[FactorSpec],
        Field(description="Factors that decide which response is preferred, most important first"),
    ] = []
    limit: Annotated[
        Count, Field(description="Maximum number of rows, taken from the start; 0 = all")
    ] = 0
    held_out: Annotated[
        float, Field(gt=0, lt=1, description="Share of the pairs that is held out from training")
    ] = 0.1
    seed: Annotated[Seed, Field(description="Seed of the choice of held-out prompts")] = 0


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
    listed = read_pairs(spec)
    pairs = [pair for pair in listed if pair is not None and pair.chosen != pair.rejected]
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
        equal=len(listed) - len(pairs),
    )
    if not split.train or not split.held_out:
        what = f"{len(pairs)} pairs over {len(prompts)} prompts leave nothing to "
        what += "train on" if not split.train else "hold out"
        refuse([Fault(path="held_out", what=what, fix="add pairs, or change the share")])
    return split


def read_pairs(spec: PairsSpec) -> list[Pair | None]:
    """Every pair in the order of the file; None for two responses that no factor tells apart.

    Raises RecipeError with up to ten faults.
    """
    lines = read(spec.path, split=spec.split, subset=spec.subset)
    lines = lines[: spec.limit] if spec.limit else lines
    wanted = ("prompt", "responses") if spec.factors else ("prompt", "chosen", "rejected")
    faults = [
        unknown_column(
            lines,
            column,
            path=f"pairs.columns.{role}",
            name=spec.path,
            advice="name its column"
            + ("; '' where the pair holds whole conversations " if role == "prompt" else " "),
        )
        for role, column in spec.columns.model_dump(include=set(wanted)).items()
        if column
    ]
    refuse([fault for fault in faults if fault is not None])
    if not spec.factors:
        written = [_pair(line, spec.columns) for line in lines]
        refuse([fault for fault in written if isinstance(fault, Fault)])
        return [pair for pair in written if isinstance(pair, Pair)]
    # With factors: every two responses to a prompt.
    rows = [_scored_responses(line, spec.columns.responses, spec.factors) for line in lines]
    prompts = [_messages(line, spec.columns.prompt, role="user") for line in lines]
    refuse([f for f in (*prompts, *(fault for _, fault in rows)) if isinstance(f, Fault)])
    columns = zip(*(values for responses, _ in rows for _, values in responses), strict=True)
    spreads = [statistics.pstdev(column) for column in columns] or [0.0] * len(spec.factors)
    margins = [f.margin * spread for f, spread in zip(spec.factors, spreads, strict=True)]
    pairs: list[Pair | None] = []
    for prompt, (responses, _) in zip(prompts, rows, strict=True):
        assert not isinstance(prompt, Fault), "refused above"
        for first, second in itertools.combinations(responses, 2):
            sign = preferred(first, second, margins)
            texts = (first[0], second[0])[:: sign or 1]
            pair = Pair(prompt=prompt, chosen=texts[0], rejected=texts[1])
            pairs.append(pair if sign else None)
    return pairs


def _scored_responses(
    line: Line, column: str, factors: Sequence[FactorSpec]
) -> tuple[list[ScoredResponse], Fault | None]:
    """The responses of a row that have every factor, or what is wrong with the row."""
    listed: JSON = line.get(column)
    if not isinstance(listed, list) or not listed:
        what = f"column '{column}' holds {listed!r:.80}, expected a list of responses"
        fix = "write objects with `text` and one number for each factor"
        return [], Fault(where=line.where, what=what, fix=fix)
    scored: list[ScoredResponse] = []
    for number, entry in enumerate(listed):
        text = entry.get("text") if isinstance(entry, Mapping) else None
        if not isinstance(text, str) or not text:
            what = f"response {number} is {entry!r:.80}"
            return [], Fault(where=line.where, what=what, fix="it needs a `text`")
        values = [entry.get(factor.column) for factor in factors]
        if all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            signs = [1.0 if factor.better == "higher" else -1.0 for factor in factors]
            scored.append((text, tuple(s * v for s, v in zip(signs, values, strict=True))))
    return scored, None


def preferred(first: ScoredResponse, second: ScoredResponse, margins: Sequence[float]) -> int:
    """1 when the first is preferred, -1 when the second is, 0 when no factor decides."""
    for mine, theirs, margin in zip(first[1], second[1], margins, strict=True):
        if mine > theirs + margin:
            return 1
        if theirs > mine + margin:
            return -1
    return 0


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
    value: JSON = line.get(column)
    if isinstance(value, str) and value.strip():
        return (Message(role=role, content=value),)
    if not isinstance(value, list) or not value:
        return Fault(
            where=line.where,
            what=f"column '{column}' holds {value!r:.80}, expected text or a list of messages",
            fix="every row needs a task and two responses",
        )
    return messages_of(line, column, value)
