"""`python -m tools.study`: the same recipe with one algorithm after another, over several seeds.

    python -m tools.study quickstart --arm grpo --arm bapo --seeds 5 --set minibatches=8

An arm is a preset of recipes/algorithms (or a YAML file of yours) laid over the recipe, with the
settings that it needs there behind its name: `--arm "dapo shaping.0.limit=40"`. A seed is that of
sampling and of the problems' order; every arm has the same ones, so differences are taken seed by
seed, against the first arm. A run is a process of its own, and what the recipe evaluates before
and after is what is compared. A run that stopped itself counts with its last evaluation, and the
table says how many did: evaluate every few steps where that can happen.

Equal generated tokens: with `--tokens N` a run is read at its last evaluation at which the engine
had sampled at most N tokens for training, those of dropped groups included. Let every arm run past
N, and evaluate every step or few (`--set evaluate.0.every=1`): the table says how many tokens each
arm had really used where it was read.

Runs that are done are kept in the folder's ledger and are not made again; one that was cut off is.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import find
from tools.study_runs import Arm, Done, Ledger, Outcome, Plan, launch, missing, read_outcome
from tools.study_table import draw, summarise, table

WIDE = 240  # columns: a line of the table is never broken


def main(
    recipe: Annotated[str, typer.Argument(help="What every arm is laid over.")],
    arms: Annotated[list[str], typer.Option("--arm", help="Preset or file, and its settings.")],
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each arm.")] = 5,
    overrides: Annotated[list[str], typer.Option("--set", help="A setting of every arm.")] = [],  # noqa: B006
    tokens: Annotated[list[int], typer.Option(min=1, help="Budget; may be repeated.")] = [],  # noqa: B006
    score: Annotated[str, typer.Option(help="Metric of an evaluation.")] = "eval/sums/pass@1",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path("runs/study"),
) -> None:
    """Run what is missing; print a table for each budget; draw a picture."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    plan = Plan(recipe=find(recipe), overrides=tuple(overrides), out=out)
    parsed = [Arm.parse(text) for text in arms]
    ledger = Ledger(out)
    train_missing(plan, parsed, range(seeds), ledger, jobs)
    console = Console(width=WIDE)
    budgets: Sequence[int | None] = tokens or [None]
    for budget in budgets:
        runs = outcomes(plan, parsed, range(seeds), score, budget)
        said = f"{recipe} {' '.join(overrides)}".strip()
        title = f"{said}, at most {budget} generated tokens" if budget else said
        console.print(table(summarise(runs, ledger.done), score, title))
        name = f"study_{budget}.png" if budget else "study.png"
        console.print(f"{draw(runs, score, title, out / name)}")


def train_missing(
    plan: Plan, arms: Sequence[Arm], seeds: Sequence[int], ledger: Ledger, jobs: int
) -> None:
    """Every run that the ledger lacks, `jobs` at once; each is in the ledger when it ends."""
    todo = missing(plan, arms, seeds, ledger)
    kept = len(arms) * len(seeds) - len(todo)
    print(f"{len(todo)} runs to make, {kept} are done", file=sys.stderr, flush=True)

    def one(work: tuple[Arm, int]) -> Done:
        return launch(plan, *work)

    with ThreadPoolExecutor(jobs) as pool:
        for number, done in enumerate(pool.map(one, todo), start=1):
            ledger.add(done)
            ended = f"stopped: {done.stopped}" if done.stopped else "done"
            line = f"[{number}/{len(todo)}] {done.arm}, seed {done.seed}: {ended}"
            print(f"{line}, {done.cpu_s:.0f} CPU s", file=sys.stderr, flush=True)


def outcomes(
    plan: Plan, arms: Sequence[Arm], seeds: Sequence[int], score: str, budget: int | None
) -> dict[str, dict[int, Outcome]]:
    """What every run says, by arm and seed."""
    return {
        arm.label: {seed: read_outcome(plan.folder(arm, seed), score, budget) for seed in seeds}
        for arm in arms
    }


if __name__ == "__main__":
    try:
        typer.run(main)
    except RecipeError as error:
        raise SystemExit("\n".join(f"error: {fault}" for fault in error.faults)) from None
