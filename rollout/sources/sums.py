"""The quickstart's synthetic problems: sums, with demonstrations of two ways to answer them."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from recipes.slots.spec import Seed
from rollout.data.train_test_split import is_held_out
from rollout.sources import source
from rollout.types import Row

_SLIP = 0.03  # chance that a worked step is wrong
_LUCK = 0.37  # chance that a guessed digit is right


@source.register(renamed={"part": "split"})
def sums(
    *,
    size: Annotated[int, Field(gt=0, le=50_000, description="Number of problems to generate")],
    seed: Annotated[Seed, Field(description="Seed of the generated problems")] = 0,
    split: Annotated[
        Literal["train", "heldout"],
        Field(description="Split; heldout is one prompt in eight, by a hash of its text"),
    ] = "train",
    demonstrations: Annotated[
        bool,
        Field(description="Whether each row gets a `solution` to imitate; prompts may then repeat"),
    ] = False,
    worked_frac: Annotated[
        float, Field(ge=0, le=1, description="Share of demonstrations worked digit by digit")
    ] = 0.4,
) -> list[Row]:
    """Sums of two 2-digit or two 3-digit numbers, `347+586=`, with the answer after a `#`.

    A worked demonstration goes digit by digit, `7+6=13,4+8+1=13,3+5+1=9#933`, each step wrong with
    chance 3%, and a wrong step is carried on. A lazy one guesses, each digit right with chance 37%.
    A model taught by both can do the work but mostly does not: what reinforcement learning is
    to change. Without demonstrations all prompts differ.
    """
    rng = np.random.default_rng((seed, split == "heldout", demonstrations))
    rows: list[Row] = []
    seen: set[str] = set()
    while len(rows) < size:
        low = int(rng.choice((10, 100)))
        left, right = (int(n) for n in rng.integers(low, 10 * low, 2))
        prompt = f"{left}+{right}="
        if is_held_out(prompt) != (split == "heldout") or prompt in seen:
            continue
        columns = {}
        if demonstrations:
            works = rng.random() < worked_frac
            columns["solution"] = _worked(rng, left, right) if works else _lazy(rng, left + right)
        else:
            seen.add(prompt)
        rows.append(
            Row(
                id=f"sums-{split}-{seed}-{len(rows)}",
                prompt=prompt,
                answer=str(left + right),
                where=f"sums[{len(rows)}]",
                columns=columns,
            )
        )
    return rows


def _worked(rng: np.random.Generator, left: int, right: int) -> str:
    """Digit by digit from the right; the result is what the steps, slips included, lead to."""
    steps: list[str] = []
    digits = ""
    carry = 0
    for a, b in zip(reversed(str(left)), reversed(str(right)), strict=True):
        total = int(a) + int(b) + carry
        if rng.random() < _SLIP:
            total = int(rng.choice([t for t in range(20) if t != total]))
        steps.append(f"{a}+{b}+{carry}={total}" if carry else f"{a}+{b}={total}")
        carry, digit = divmod(total, 10)
        digits = f"{digit}{digits}"
    return f"{','.join(steps)}#{carry or ''}{digits}"


def _lazy(rng: np.random.Generator, total: int) -> str:
    """The answer without work: each digit right by luck, otherwise another digit."""
    guessed = ""
    for place, digit in enumerate(str(total)):
        others = [d for d in "0123456789"[place == 0 :] if d != digit]
        guessed += digit if rng.random() < _LUCK else str(rng.choice(others))
    return f"#{guessed}"
