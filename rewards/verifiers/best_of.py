"""The best of several verifiers."""

from rewards.calling import call_verifiers
from rewards.composition import Components, WhenMissing, missing_of, reason_of, values_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


@verifier.register(renamed={"parts": "components"})
async def best_of(
    problem: Problem, response: str, *, components: Components, missing: WhenMissing = "missing"
) -> Verdict:
    """The largest reward of the components; correct when any component calls the answer correct.

    For answers that may be right in one of several ways, where `weighted` would ask for all of them
    at once. Every component added can only add false positives. With `missing: skip` the best of
    the verdicts that there are counts, and no verdict at all is missing; a component that failed
    might have been the one to accept the answer, so the default is not to guess.

    Returns a verdict in the range of its components, with the answer of the best one (the first of
    equals). Components: every component by its name.
    """
    verdicts = await call_verifiers(components, problem, response)
    scored = [verdict for verdict in verdicts.values() if not verdict.is_missing]
    if not scored or (missing == "missing" and len(scored) < len(verdicts)):
        return missing_of(verdicts)
    best = max(scored, key=lambda verdict: (verdict.reward, verdict.correct))
    return Verdict.scored(
        best.reward,
        correct=any(verdict.correct for verdict in scored),
        reason=reason_of(verdicts),
        answer=best.answer,
        components=values_of(verdicts),
    )
