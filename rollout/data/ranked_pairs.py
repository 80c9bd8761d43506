"""Preference pairs from scored responses, by factors in order of importance (HERON).

    {"prompt": "...", "responses": [{"text": "...", "passed": 3, "words": 40}, ...]}

Of two responses to a prompt the one is preferred that is better in the first factor in which they
differ by more than its margin; later factors are not looked at. No weights have to be found, and a
factor's scale does not matter. Bukharin et al. 2023, https://arxiv.org/abs/2309.02632. The verifier
`ranked` and the shaping function `heron` use such an order as a reward; this makes the pairs that
a reward model is trained on, as the paper does. With margins the relation is not transitive.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import Fault
from recipes.slots.spec import JSON, Spec
from rollout.data.tables import Line

Item = tuple[str, tuple[float, ...]]  # text, and its factors with larger ones better


class FactorSpec(Spec):
    """One measure of a response."""

    column: Annotated[str, Field(min_length=1, description="its key in every response")]
    better: Annotated[
        Literal["higher", "lower"], Field(description="which end is the good one")
    ] = "higher"
    margin: Annotated[
        float, Field(ge=0, description="difference that counts, in standard deviations of all")
    ] = 0.0


def scored_responses(
    line: Line, column: str, factors: Sequence[FactorSpec]
) -> tuple[list[Item], Fault | None]:
    """The responses of a row that have every factor, or what is wrong with the row."""
    listed: JSON = line.values.get(column)
    if not isinstance(listed, list) or not listed:
        what = f"column '{column}' holds {listed!r:.80}, expected a list of responses"
        fix = "write objects with `text` and one number for each factor"
        return [], Fault(where=line.where, what=what, fix=fix)
    found: list[Item] = []
    for number, entry in enumerate(listed):
        text = entry.get("text") if isinstance(entry, Mapping) else None
        if not isinstance(text, str) or not text:
            what = f"response {number} is {entry!r:.80}"
            return [], Fault(where=line.where, what=what, fix="it needs a `text`")
        values = tuple(_signed(entry.get(factor.column), factor) for factor in factors)
        if all(map(math.isfinite, values)):
            found.append((text, values))
    return found, None


def margins_of(items: Sequence[Item], factors: Sequence[FactorSpec]) -> list[float]:
    """Each factor's margin in its own unit: a multiple of its standard deviation over `items`."""
    columns = zip(*(values for _, values in items), strict=True)
    spreads = [statistics.pstdev(column) for column in columns] or [0.0] * len(factors)
    return [factor.margin * spread for factor, spread in zip(factors, spreads, strict=True)]


def preferred(first: Item, second: Item, margins: Sequence[float]) -> int:
    """1 when the first is preferred, -1 when the second is, 0 when no factor decides."""
    for mine, theirs, margin in zip(first[1], second[1], margins, strict=True):
        if mine > theirs + margin:
            return 1
        if theirs > mine + margin:
            return -1
    return 0


def _signed(value: JSON, factor: FactorSpec) -> float:
    """Larger is better, true is 1; NaN, which leaves the response out, for what is no number."""
    if not isinstance(value, int | float):
        return math.nan
    return float(value) if factor.better == "higher" else -float(value)
