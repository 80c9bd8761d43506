"""What the loggers that go through accelerate's trackers share. Registers nothing itself."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import yaml

from recipes.errors import RecipeError
from trainer.loggers import LoggerContext

Tracker = Any  # accelerate.tracking.GeneralTracker; accelerate ships no types


class Tracked:
    """A started accelerate tracker as a Logger. Only rank 0 has one."""

    def __init__(self, tracker: Tracker) -> None:
        from accelerate import PartialState

        PartialState()  # trackers log through it; the Accelerator has made it, unless in a test
        # Loggers live on rank 0 alone, where the tracker's own check would ask the same again.
        tracker.main_process_only = False
        tracker.start()
        self._tracker = tracker
        self._open = True

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._tracker.log(dict(metrics), step=step)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._tracker.finish()


def require(package: str, logger: str) -> None:
    """Raises RecipeError when the logger's package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise RecipeError.of(
            f"the logger '{logger}' needs the package '{package}', which is not installed",
            path="loggers",
            fix=f"run: pip install {package}",
        )


def recipe_text(context: LoggerContext) -> str:
    """The resolved recipe as YAML."""
    return str(yaml.safe_dump(dict(context.recipe), sort_keys=False))
