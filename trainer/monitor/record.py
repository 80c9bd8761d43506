"""Recorded steps: the groups that a step was trained on, and the checkpoint of its weights.

    rollouts/step_000012.json      groups of step 12, and the checkpoint that it began with
    checkpoints/step_000012/       never removed while a recording names it

Steps count from 0, which begins with the recipe's own model and names no checkpoint. A file
appears whole, by one rename; on a resume the files of steps that will be run again are removed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.errors import RecipeError
from recipes.files import write_whole
from rollout.serialize import group_from_dict, group_to_dict
from rollout.types import Group
from trainer.recipe.monitoring import RecordSpec

FORMAT = 1
FOLDER = "rollouts"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One step as it was."""

    step: int
    checkpoint: str  # name of the folder below `checkpoints`; empty for the recipe's own model
    groups: Sequence[Group]


class Recorder:
    """Writes the steps that are due; for rank 0 of a run.

    first_step: where the run begins or goes on: recordings from there on are removed
    """

    def __init__(self, run: Path, spec: RecordSpec, *, first_step: int) -> None:
        self._folder = run / FOLDER
        self._every = spec.every
        for leftover in self._folder.glob("*.part"):
            leftover.unlink()
        for file in self._folder.glob("step_*.json"):
            if int(file.stem.removeprefix("step_")) >= first_step:
                file.unlink()

    def __call__(self, step: int, groups: Sequence[Group]) -> None:
        """Keep the step's groups if it is due."""
        if not self._every or step % self._every:
            return
        name = f"step_{step:06d}"
        state = {
            "format": FORMAT,
            "step": step,
            "checkpoint": name if step else "",
            "groups": [group_to_dict(group) for group in groups],
        }
        write_whole(self._folder / f"{name}.json", json.dumps(state))


def recorded(run: Path) -> list[Path]:
    """The recordings of a run, in order."""
    return sorted((run / FOLDER).glob("step_*.json"))


def named_checkpoints(run: Path) -> frozenset[str]:
    """Checkpoints that a recording needs; they carry the recording's own name."""
    return frozenset(path.stem for path in recorded(run))


def read_recording(path: Path) -> Recording:
    """What a Recorder wrote. Raises RecipeError for another format or a missing checkpoint."""
    state = json.loads(path.read_text(encoding="utf-8"))
    if state["format"] != FORMAT:
        raise RecipeError.of(
            f"a recording of format {state['format']}, this version reads {FORMAT}",
            where=str(path),
            fix="replay it with the version that wrote it",
        )
    found = Recording(
        step=state["step"],
        checkpoint=state["checkpoint"],
        groups=[group_from_dict(group) for group in state["groups"]],
    )
    manifest = path.parent.parent / "checkpoints" / found.checkpoint / "manifest.json"
    if found.checkpoint and not manifest.exists():
        raise RecipeError.of(
            f"step {found.step} was recorded, and its checkpoint {found.checkpoint} is gone",
            where=str(path),
            fix="leave checkpoints that a recording names where they are, or choose other steps "
            "with --step",
        )
    return found
