"""Online difficulty filtering: groups of middling difficulty are trained on."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from recipes.errors import RecipeError
from rollout.filters import filter_
from rollout.types import Decision, Drop, Group, Keep


def _band_is_one(*, low: float, high: float, closed: str, width: float) -> None:
    if width and (low, high) != (0.0, 1.0):
        raise RecipeError.of(
            f"width {width:g} is one band, and low {low:g}, high {high:g} are another",
            path="width",
            fix="give width alone for a band around one half, or low and high without it",
        )
    if low > high or (low == high and closed != "both"):
        raise RecipeError.of(
            f"no pass rate lies between {low:g} and {high:g}",
            path="low",
            fix="set low below high",
        )


@filter_.register(paper="https://arxiv.org/abs/2504.03380", validate=_band_is_one)
def pass_rate_band(
    group: Group,
    *,
    low: Annotated[float, Field(ge=0, le=1, description="Lower end of the band")] = 0.0,
    high: Annotated[float, Field(ge=0, le=1, description="Upper end of the band")] = 1.0,
    closed: Annotated[
        Literal["neither", "low", "high", "both"],
        Field(description="Ends that belong to the band"),
    ] = "neither",
    width: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Width of a balanced band around one half; 0 takes low and high",
        ),
    ] = 0.0,
) -> Decision:
    """Drops a group whose share of correct samples is outside a band.

    The open band from 0 to 1 is `drop_uniform` on `correct`; a narrower one also drops groups that
    are nearly solved or nearly hopeless. Counts the verifier's `correct`, whatever shape the reward
    has. Bae et al. 2025: the threshold form is `low` and `high`, the balanced form `width: 0.6` is
    0.2 to 0.8. The collector refills, up to `limits.max_refills`; then the run stops, and no wider
    band is tried. Ends are compared as the decimals they are written as. Groups without a score
    are dropped. Confidence: abstract read, 0.2 to 0.8 from secondary sources.
    """
    scored = group.scored
    if not scored:
        return Drop(reason="no sample has a score")
    rate = Fraction(sum(s.verdict.correct for s in scored), len(scored))
    lowest, highest = Fraction(str(low)), Fraction(str(high))
    if width:
        half = Fraction(str(width)) / 2
        lowest, highest = Fraction(1, 2) - half, Fraction(1, 2) + half
    if rate < lowest or (rate == lowest and closed not in ("low", "both")):
        return Drop(reason="pass rate below the band")
    if rate > highest or (rate == highest and closed not in ("high", "both")):
        return Drop(reason="pass rate above the band")
    return Keep(group=group)
