"""Who gives the rewards of a run, and whether they can still be trusted: on rank 0.

scorer        the verifier, with its breaker and what watches it
provenance    which code and options gave the verdicts; a resume with others is refused
watch         alarms when the reward rises and what it does not see says otherwise
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from recipes.errors import Fault, RecipeError
from recipes.slots.registry import function_of, tags_of
from recipes.slots.spec import JSON
from rewards.audit.error_rates import ErrorRates
from rewards.audit.provenance import Provenance, changes, provenance_of
from rewards.plugins.functions import announce_step
from rollout.verification import (
    CircuitBreaker,
    MissingVerdicts,
    ShadowVerifiers,
    VerifierRunner,
    Watcher,
)
from trainer.monitor.reward_hacking import RewardHackingMonitor
from trainer.recipe.config import Recipe


@dataclass(kw_only=True)
class RewardMonitor:
    """The rewards of one run."""

    scorer: VerifierRunner
    provenance: Provenance
    watch: RewardHackingMonitor
    steps: int  # of the whole run
    alarms: tuple[str, ...] = ()  # of the last step

    def begin(self, step: int) -> None:
        """Plug-ins may ask how far the run is."""
        announce_step(step, self.steps)

    def observe(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Look at a whole step's metrics; says what is alarming, and how much of it there is."""
        self.alarms = tuple(self.watch.observe(metrics))
        for alarm in self.alarms:
            print(f"watch: {alarm}", file=sys.stderr, flush=True)
        return {"watch/alarms": float(len(self.alarms))} if self.watch.is_on else {}

    @property
    def verdict(self) -> str:
        """Why the run must stop; empty while it need not."""
        if not self.watch.is_over:
            return ""
        return (
            f"possible reward hacking: {'; '.join(self.alarms)}. Read samples of the last "
            "steps and fix the reward, or relax `watch` and continue with --resume"
        )

    def state_dict(self) -> dict[str, JSON]:
        return {
            "provenance": self.provenance.plain(),
            "scorer": self.scorer.state_dict(),
            "watch": self.watch.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self.scorer.load_state_dict(state["scorer"])
        self.watch.load_state_dict(state["watch"])


def build_reward_monitor(recipe: Recipe) -> RewardMonitor:
    """The recipe's verifier behind its breaker, and whatever watches it."""
    missing = MissingVerdicts(recipe.folder / "missing_verdicts.jsonl")
    watchers: dict[str, Watcher] = {"missing": missing}
    if "double_checked" in tags_of(recipe.verifier):
        watchers["error_rates"] = ErrorRates()
    if recipe.watch.asks:
        others = {name: function_of(bound) for name, bound in recipe.watch.verifiers.items()}
        watchers["shadow_verifiers"] = ShadowVerifiers(others, recipe.watch.sample_frac)
    provenance = provenance_of(recipe.verifier)
    scorer = VerifierRunner(
        function_of(recipe.verifier),
        breaker=CircuitBreaker(recipe.limits.max_missing_frac, recipe.limits.missing_window),
        watchers=watchers,
        provenance=provenance.digest,
    )
    watch = RewardHackingMonitor(recipe.watch)
    return RewardMonitor(scorer=scorer, provenance=provenance, watch=watch, steps=recipe.steps)


def refuse_another_verifier(recipe: Recipe, saved: Mapping[str, JSON]) -> str:
    """What has changed since the checkpoint, if the recipe allows it, and what cannot be compared;
    empty when nothing has changed.

    saved: the state of a RewardMonitor. Raises RecipeError where a change is not allowed.
    """
    found, unknown = changes(saved["provenance"], recipe.verifier)
    if not found:
        return unknown
    if "verifier" in recipe.limits.allow_change:
        told = f"the verifier changed since the checkpoint: {'; '.join(found)}"
        return f"{told}; {unknown}" if unknown else told
    raise RecipeError(
        [
            Fault(
                path="verifier",
                what=f"the checkpoint's rewards were given by another verifier: {change}",
                fix="bring the old one back, or accept the break with "
                "--set 'limits.allow_change=[verifier]'",
            )
            for change in found
        ]
    )
