"""The runs of a study: a `temper train` process for each arm and seed, and what it left."""

import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import PACKAGE, find
from trainer.loggers.jsonl import FILE, read_metrics
from trainer.monitor.progress import STOPPED
from trainer.recipe.check import load_recipe

LEDGER = "runs.jsonl"
AFTER, BEFORE = 10, 5  # steps over which the training reward's end and start are averaged
QUIET = ("loggers=[{name: jsonl}]", "checkpoint.every=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A fragment with the settings it needs here; the label is what was typed."""

    label: str
    fragment: str  # file, absolute
    overrides: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """`dapo shaping.0.limit=40`: a preset's name or a YAML file, then its own overrides."""
        name, *overrides = text.split()
        preset = PACKAGE / "algorithms" / f"{name}.yaml"
        file = preset if preset.is_file() else find(name)
        return cls(label=" ".join(text.split()), fragment=str(file), overrides=tuple(overrides))

    @property
    def slug(self) -> str:
        return re.sub(r"[^\w.-]+", "_", self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A line of the ledger: a run that came to an end."""

    arm: str
    seed: int
    digest: str  # of everything the run was told
    stopped: str  # why the run ended itself early; empty when it did all its steps
    cpu_s: float  # user and system, of the process and its children


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One evaluation on the held-out problems."""

    step: int
    tokens: int  # generated for training up to here, dropped groups included
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run's metrics say, read where the token budget ends."""

    curve: tuple[Point, ...]  # all evaluations
    end: Point  # the one that counts
    entropy: float  # nats a token, mean of the last steps up to there, on trained samples
    reward_before: float  # mean over all groups drawn in the first steps
    reward_after: float  # and in the last steps up to there
    non_finite: int  # logged values that are not finite, and skipped updates, in the whole run

    @property
    def start(self) -> Point:
        return self.curve[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe and what is laid over it in every arm."""

    recipe: Path
    overrides: tuple[str, ...]
    out: Path

    def folder(self, arm: Arm, seed: int) -> Path:
        return self.out / arm.slug / f"seed_{seed}"

    def file(self, arm: Arm) -> Path:
        """The recipe of an arm: the study's, with the arm's fragment over it."""
        file = self.out / arm.slug / "arm.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"extends: {json.dumps([str(self.recipe), arm.fragment])}\n")
        return file

    def settings(self, arm: Arm, seed: int) -> list[str]:
        """Seeds first, so that a study may still hold one of them still."""
        own = [f"seed={seed}", f"problems.seed={seed}", f"output={self.folder(arm, seed)}"]
        return [*QUIET, *own, *self.overrides, *arm.overrides]

    def digest(self, arm: Arm, seed: int) -> str:
        """Checks the recipe; sixteen hex digits of all its settings but the folder."""
        recipe, _ = load_recipe(str(self.file(arm)), self.settings(arm, seed))
        tree = recipe.model_dump(mode="json", exclude={"output"})
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def launch(plan: Plan, arm: Arm, seed: int) -> Done:
    """Train in a process of its own, from the start; a run that fails is an error with its log."""
    folder = plan.folder(arm, seed)
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted study left
    folder.mkdir(parents=True)
    digest = plan.digest(arm, seed)
    sets = [word for override in plan.settings(arm, seed) for word in ("--set", override)]
    command = [sys.executable, "-m", "trainer", "train", str(plan.file(arm)), *sets]
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as to:
        process = subprocess.Popen(command, stdout=to, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text(encoding="utf-8").strip()
    if process.returncode not in (0, STOPPED):
        raise RecipeError.of(
            f"the run ended with exit code {process.returncode}: {said[-2000:]}",
            where=str(log),
            fix="fix it and run the study again; runs that are done are kept",
        )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Done(
        arm=arm.label,
        seed=seed,
        digest=digest,
        stopped=_cause(said) if process.returncode == STOPPED else "",
        cpu_s=round(usage.ru_utime + usage.ru_stime, 2),
    )


def _cause(said: str) -> str:
    found = re.findall(r"^stopped: (.*)$", said, re.MULTILINE)
    return found[-1] if found else said[-200:]


def read_outcome(folder: Path, score: str, budget: int | None = None) -> Outcome:
    """The numbers of a run up to its last evaluation within `budget` generated tokens."""
    curve, rewards, entropies, tokens, non_finite = [], [], [], 0, 0
    for step, metrics in read_metrics(folder / FILE):
        tokens += int(metrics.get("rollout/tokens", 0))
        non_finite += sum(not math.isfinite(value) for value in metrics.values())
        non_finite += int(metrics.get("optim/skipped", 0))
        if score in metrics:
            curve.append(Point(step=step, tokens=tokens, score=metrics[score]))
        if "rollout/reward" in metrics:
            rewards.append((step, metrics["rollout/reward"]))
        if "policy/entropy" in metrics:  # not where the policy rests
            entropies.append((step, metrics["policy/entropy"]))
    within = [point for point in curve if budget is None or point.tokens <= budget]
    if not within:
        raise RecipeError.of(
            f"no '{score}' to read" + (f" within {budget} tokens" if budget else ""),
            where=str(folder / FILE),
            fix="evaluate at the start, and every few steps where there is a budget: "
            "--set evaluate.0.every=5",
        )
    return Outcome(
        curve=tuple(curve),
        end=within[-1],
        entropy=_mean(entropies, within[-1].step),
        reward_before=_mean(rewards[:BEFORE], math.inf),
        reward_after=_mean(rewards, within[-1].step),
        non_finite=non_finite,
    )


def _mean(series: Sequence[tuple[int, float]], until: float) -> float:
    """Over the last values of the steps up to `until`; NaN where there is none."""
    last = [value for step, value in series if step <= until][-AFTER:]
    return fmean(last) if last else math.nan


class Ledger:
    """`runs.jsonl`: a line for each run that is done; a run in it is not made again."""

    def __init__(self, out: Path) -> None:
        self._path = out / LEDGER
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self.done = {(d.arm, d.seed): d for d in (Done(**json.loads(line)) for line in lines)}

    def add(self, done: Done) -> None:
        self.done[done.arm, done.seed] = done
        with self._path.open("a", encoding="utf-8") as to:
            to.write(json.dumps(asdict(done)) + "\n")

    def get(self, arm: Arm, seed: int, digest: str) -> Done | None:
        """The run if it is done; refuses one that was told other things."""
        done = self.done.get((arm.label, seed))
        if done is not None and done.digest != digest:
            raise RecipeError.of(
                f"'{arm.label}' with seed {seed} was run with other settings",
                where=str(self._path),
                fix="give another --out, or delete this one",
            )
        return done


def missing(
    plan: Plan, arms: Sequence[Arm], seeds: Sequence[int], ledger: Ledger
) -> list[tuple[Arm, int]]:
    """What is still to run, seed by seed, so that a study that is cut off compares whole seeds."""
    return [
        (arm, seed)
        for seed in seeds
        for arm in arms
        if ledger.get(arm, seed, plan.digest(arm, seed)) is None
    ]
