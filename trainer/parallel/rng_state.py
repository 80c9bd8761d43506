"""The random numbers still to come, kept: torch's generators, which only dropout draws from.

Everything else that is random derives its own seed from the run, the step and the sample.
"""

import logging
from pathlib import Path

import torch

from trainer.parallel.state_files import Seals, read_state, write_state

log = logging.getLogger(__name__)


def save_random_state(folder: Path, rank: int) -> Seals:
    """Write this rank's generators to `folder`."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    path = folder / f"random_{rank}.pt"
    return {path: write_state(state, path)}


def load_random_state(folder: Path, rank: int) -> None:
    """Go on with the numbers that would have come next when `save_random_state` was called.

    A rank that was not there then has nothing to go on with, and keeps its own.
    """
    if not (folder / f"random_{rank}.pt").exists():
        log.warning("no random state of rank %d in %s: its dropout starts afresh", rank, folder)
        return
    state = read_state(folder / f"random_{rank}.pt")
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
