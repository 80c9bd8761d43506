"""Stage after stage, as a column of the data orders the problems."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import JSON, Count
from rewards.types import Problem
from rollout.pass_rates import PassRates, Stages
from rollout.samplers import Sampler, sampler
from rollout.types import Group


@sampler.register(renamed={"bound": "threshold"}, paper="https://doi.org/10.1145/1553374.1553380")
def curriculum(
    problems: Sequence[Problem],
    seed: int,
    *,
    column: Annotated[str, Field(min_length=1, description="Column whose values are the stages")],
    order: Annotated[
        tuple[str, ...],
        Field(description="Values of the column, first stage first; [] = sorted numbers"),
    ] = (),
    threshold: Annotated[
        float, Field(ge=0, lt=1, description="Pass rate above which the next stage begins")
    ] = 0.7,
    window: Annotated[
        Count,
        Field(gt=0, description="Number of latest groups over which the pass rate is averaged"),
    ] = 32,
    review: Annotated[
        float, Field(ge=0, lt=1, description="Share of draws from earlier stages")
    ] = 0.1,
) -> Sampler:
    """Draws from one stage until its pass rate exceeds `threshold`, then from the next.

    The stages are the values of a column, where `easy_to_hard` finds them by trying. Within a stage
    the problem drawn longest ago is next. The last stage has no end, and there is no way back.
    Bengio et al. 2009. A problem without the column, and a value that `order` does not name, are
    refused; one value in all is one stage, and the order of its problems that of a shuffle.
    """
    known = PassRates(problems, seed, decay=0.0)
    stages = Stages(known, threshold=threshold, window=window, review=review)
    return _Curriculum(known, stages, _stage_of(problems, column, order))


class _Curriculum:
    def __init__(self, known: PassRates, stages: Stages, stage_of: npt.NDArray[np.int64]) -> None:
        self._known = known
        self._stages = stages
        self._stage_of = stage_of  # [N]

    def next(self, n: int) -> list[Problem]:
        return [self._stages.next_problem(self._stage_of) for _ in range(n)]

    def observe(self, groups: Sequence[Group]) -> None:
        self._stages.observe(self._known.observe(groups), self._stage_of)

    def state_dict(self) -> dict[str, JSON]:
        return {"known": self._known.state_dict(), "stages": self._stages.state_dict()}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._known.load_state_dict(state["known"])
        self._stages.load_state_dict(state["stages"])


def _stage_of(
    problems: Sequence[Problem], column: str, order: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Each problem's stage [N], from 0, without gaps. Raises RecipeError."""
    without = [p.id for p in problems if column not in p.columns]
    if without:
        raise RecipeError.of(
            f"{len(without)} of {len(problems)} problems have no column '{column}', the first is "
            f"{without[0]}",
            path="sampler.column",
            fix="name a column that every row has",
        )
    values = [p.columns[column] for p in problems]
    if order:
        unknown = sorted({str(v) for v in values} - set(order))
        if unknown:
            raise RecipeError.of(
                f"column '{column}' also holds {', '.join(unknown[:5])}",
                path="sampler.order",
                fix="name every value of the column",
            )
        places = np.array([order.index(str(v)) for v in values])
    elif all(isinstance(v, int | float) for v in values):
        places = np.array(values)
    else:
        raise RecipeError.of(
            f"column '{column}' holds words, which have no order of their own",
            path="sampler.order",
            fix="list its values, the first stage first: order: [easy, hard]",
        )
    return np.unique(places, return_inverse=True)[1].astype(np.int64)
