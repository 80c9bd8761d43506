"""Save and resume everything stateful, whole or not at all.

    checkpoints/step_000020/        complete: it has a manifest
        manifest.json               step, parts, versions, wall-clock; written last, then renamed in
        host.pt                     plain data: sampler, buffer, ledger, controllers, counters
        policy/                     model, optimizer, schedule, random states of every rank
    checkpoints/.saving-...         what a killed process left; removed at the next save

A folder appears under its final name only when it is complete, by one rename. `host.pt` holds
plain containers, numbers, strings and arrays only, and is read with `weights_only=True`.
"""

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from recipes.errors import RecipeError
from recipes.slots.spec import JSON

FORMAT = 2
_NEARLY_FULL = 2**26  # bytes free, below which a failed write is put down to the disk


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one run. Rank 0 writes folders; every rank takes part in policy saves.

    any_rank: whether any rank says True; every rank calls it and hears the same
    sharded: ranks meet while the policy is written, so that one which fails there cannot announce
        it: it ends, and the launcher ends the others
    spared: names of old checkpoints that somebody still needs, whatever `keep` says
    """

    folder: Path
    keep: int
    is_main: bool
    any_rank: Callable[[bool], bool]
    sharded: bool = False
    spared: Callable[[], Collection[str]] = frozenset

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        return latest(self.folder)

    def save(
        self, step: int, host: Mapping[str, JSON], save_policy: Callable[[Path], None]
    ) -> Path:
        """Write the checkpoint of the state before `step`; returns its folder.

        Raises RecipeError on every rank when one of them cannot write; the older checkpoints stay
        as they are.
        """
        final = self.folder / f"step_{step:06d}"
        if final.exists():
            return final
        staging = self.folder / f".saving-step_{step:06d}"

        def write_host() -> None:
            torch.save(dict(host), staging / "host.pt")
            manifest = {"format": FORMAT, "step": step, "saved_at_s": time.time()}
            (staging / "manifest.json").write_text(json.dumps(manifest))
            _sync_folder(staging)

        self._all(step, lambda: self._begin(staging), alone=True)
        self._all(step, lambda: save_policy(staging / "policy"))
        self._all(step, write_host, alone=True)
        self._all(step, lambda: self._show(staging, final), alone=True)
        return final

    def _all(self, step: int, write: Callable[[], None], *, alone: bool = False) -> None:
        """Do it on every rank, or on rank 0 `alone`; all ranks wait for it and hear if it fails."""
        failure: OSError | RuntimeError | None = None
        try:
            if self.is_main or not alone:
                write()
        except (OSError, RuntimeError) as error:  # torch.save reports a full disk as the latter
            failure = error
        unheard = failure is not None and self.sharded and not alone
        if not unheard and not self.any_rank(failure is not None):
            return
        if self.is_main:
            with contextlib.suppress(OSError):
                _remove_leftovers(self.folder)
        fix = "mend it, then run again with --resume; the older checkpoints are untouched"
        if failure is None:
            what = f"checkpoint step {step} was given up: another rank could not write to it"
        elif _is_full(failure, self.folder):
            what = f"no space left on the disk for checkpoint step {step} in {self.folder}"
            fix = fix.replace("mend it", "free some space or set checkpoint.keep lower")
        else:
            what = f"checkpoint step {step} cannot be written to {self.folder}: {failure!s:.300}"
        raise RecipeError.of(what, fix=fix) from failure

    def _begin(self, staging: Path) -> None:
        """Nothing is written where the last checkpoint would not fit a second time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(self.folder)
        last = self.latest()
        if last is not None and shutil.disk_usage(self.folder).free < _size(last):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        (staging / "policy").mkdir(parents=True)

    def _show(self, staging: Path, final: Path) -> None:
        """The checkpoint gets its name; the oldest ones leave."""
        os.replace(staging, final)
        spared = self.spared()
        for old in sorted(self.folder.glob("step_*"))[: -self.keep]:
            if old.name not in spared:
                (old / "manifest.json").unlink(missing_ok=True)  # half removed is incomplete
                shutil.rmtree(old)


def _size(folder: Path) -> int:
    """Bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(".saving-*"):
        shutil.rmtree(leftover)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint in a run's `checkpoints` folder."""
    complete = sorted(p.parent for p in folder.glob("step_*/manifest.json"))
    return complete[-1] if complete else None


def _is_full(error: OSError | RuntimeError, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return shutil.disk_usage(folder).free < _NEARLY_FULL


def load_host(folder: Path) -> dict[str, Any]:
    """The plain state of a checkpoint. Raises RecipeError for another format, or broken files."""
    try:
        found = json.loads((folder / "manifest.json").read_text())["format"]
        if found != FORMAT:
            raise RecipeError.of(
                f"{folder} has checkpoint format {found}, this version reads {FORMAT}",
                fix="resume with the version that wrote it",
            )
        state: dict[str, Any] = torch.load(folder / "host.pt", weights_only=True)
    except RecipeError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, RuntimeError, UnpicklingError) as error:
        raise RecipeError.of(
            f"the checkpoint {folder} is damaged ({type(error).__name__})",
            fix="move it away, and --resume goes on from the one before",
        ) from error
    return state


def _sync_folder(folder: Path) -> None:
    """Push every file to the disk, so that a renamed folder is a complete one after a crash."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
