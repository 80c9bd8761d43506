"""`temper replay RUN --set ...`: another update on the very same samples, without sampling.

Each recorded step begins again with the weights and the optimizer state that it had, once under the
recorded recipe and once under the variant; `trainer/commands/replay_step.py` compares them. Groups
that the run's filters dropped were never recorded: a variant's filters can only drop more.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from recipes.errors import Fault, RecipeError
from recipes.loading.recipe_tree import Loaded, add_locations, load
from recipes.slots.registry import to_plain
from trainer.batch import NotComputed
from trainer.commands.replay_step import Compared, Replay
from trainer.monitor.record import read_recording, recorded
from trainer.recipe.check import check
from trainer.recipe.config import Recipe, differences, read

# What may differ from the recorded recipe: everything that acts on finished samples.
UPDATE = ("filters", "shaping", "advantage", "masks", "correction", "selections", "reduction",
          "loss", "terms", "optimizer.lr", "max_tokens_per_microbatch")  # fmt: skip


def replay(run: Path, overrides: Sequence[str], steps: Sequence[int] = ()) -> list[Compared]:
    """Compare the recorded recipe with its variant on the recorded steps, all unless named.

    Raises RecipeError for a run without recordings and for a variant that needs other samples.
    """
    files = recordings(run, steps)
    recipe = read(load(run / "recipe.yaml"))
    variant, loaded = variant_of(run, overrides, recipe)
    with tempfile.TemporaryDirectory() as scratch:
        both = Replay(recipe, variant, Path(scratch))
        try:
            return [both.compare(read_recording(file), run) for file in files]
        except NotComputed as error:
            raise add_locations(
                RecipeError.of(
                    f"the variant needs what was not recorded: {error}",
                    fix="only log-probs and entropy can be computed afterwards; record a run of "
                    "that recipe",
                ),
                loaded,
            ) from error


def recordings(run: Path, steps: Sequence[int]) -> list[Path]:
    """The files of the steps, in order."""
    files = {int(path.stem.removeprefix("step_")): path for path in recorded(run)}
    if not files:
        raise RecipeError.of(
            f"{run} holds no recorded steps",
            fix="train with --set record.every=<n>, n a multiple of checkpoint.every",
        )
    unknown = sorted(set(steps) - set(files))
    if unknown:
        raise RecipeError.of(
            f"step {unknown[0]} of {run} was not recorded",
            fix=f"recorded: {', '.join(map(str, files))}",
        )
    return [files[step] for step in sorted(steps or files)]


def variant_of(run: Path, overrides: Sequence[str], recipe: Recipe) -> tuple[Recipe, Loaded]:
    """The recorded recipe with the overrides; only what acts on finished samples may differ."""
    loaded = load(run / "recipe.yaml", overrides)
    variant = read(loaded)
    check(variant, loaded)
    faults = [
        Fault(
            path=path,
            what="this setting affects sampling or earlier updates, so recorded samples do not fit",
            fix=f"train another run; replay can change {', '.join(UPDATE)}",
        )
        for path in differences(to_plain(recipe), to_plain(variant))
        if not any(f"{path}.".startswith(f"{part}.") for part in UPDATE)
    ]
    if recipe.sharding.zero:
        faults.append(
            Fault(
                path="sharding.zero",
                what=f"the run's checkpoints are sharded (zero {recipe.sharding.zero})",
                fix="replay reads whole checkpoints: record a run with sharding.zero: 0",
            )
        )
    if faults:
        raise add_locations(RecipeError(faults), loaded)
    return variant, loaded
