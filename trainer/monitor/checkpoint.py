"""Save and resume everything stateful, whole or not at all.

    checkpoints/step_000020/        complete: it has a manifest
        manifest.json               step, size and sha256 of every file; written last
        host.pt                     plain data: sampler, buffer, ledger, controllers, counters
        policy/                     model, optimizer, schedule, random states of every rank
    checkpoints/.saving-...         what a killed process left; removed at the next save
    checkpoints/damaged-...         set aside: a file was changed, cut or lost after it was written

A folder appears under its final name only when it is complete and on the disk, by one rename.
Before anything is loaded, every file is compared with the manifest; a run goes on from the newest
checkpoint that is whole. No file is read in a way that could run code.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from trainer.parallel.state_files import FileSeal, Seals, read_state, seal_file, write_state

T = TypeVar("T")
FORMAT = 4
MANIFEST = "manifest.json"
_NAME = re.compile(r"step_(\d+)")
_NEARLY_FULL = 2**26  # bytes free, below which a failed write is put down to the disk
_READERS = 4  # files that are hashed at the same time


# -- saving --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one run. Rank 0 writes folders; every rank takes part in policy saves.

    gather: every rank's value, on every rank; every rank calls it
    sharded: ranks meet while the policy is written, so that one which fails there cannot announce
        it: it ends, and the launcher ends the others
    spared: names of old checkpoints that somebody still needs, whatever `keep` says
    """

    folder: Path
    keep: int
    is_main: bool
    gather: Callable[[Any], list[Any]]
    sharded: bool = False
    spared: Callable[[], Collection[str]] = frozenset

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        return latest(self.folder)

    def save(
        self, step: int, host: Mapping[str, JSON], save_policy: Callable[[Path], Seals]
    ) -> Path:
        """Write the checkpoint of the state before `step`; returns its folder.

        save_policy: writes into a folder, and returns the seals of the files that this rank wrote
        Raises RecipeError on every rank when one of them cannot write; the older checkpoints stay
        as they are.
        """
        final = self.folder / _name(step)
        if self.gather((final / MANIFEST).exists())[0]:  # of this run: others were set aside
            return final
        staging = self.folder / f".saving-{final.name}"
        self._all(step, lambda: self._begin(staging), alone=True)
        written = self._all(step, lambda: save_policy(staging / "policy"))
        seals = {path: seal for part in self.gather(written) for path, seal in part.items()}
        self._all(step, lambda: _seal(staging, step, host, seals), alone=True)
        self._all(step, lambda: self._show(staging, final), alone=True)
        return final

    def _all(self, step: int, write: Callable[[], T], *, alone: bool = False) -> T | None:
        """Do it on every rank, or on rank 0 `alone`; all ranks wait for it and hear if it fails."""
        written: T | None = None
        failure: OSError | RuntimeError | None = None
        try:
            if self.is_main or not alone:
                written = write()
        except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
            failure = error
        unheard = failure is not None and self.sharded and not alone
        if not unheard and not any(self.gather(failure is not None)):
            return written
        if self.is_main:
            with contextlib.suppress(OSError):
                _remove_leftovers(self.folder)
        fix = "fix the cause, then run again with --resume; the older checkpoints are untouched"
        full = (
            failure.errno in (errno.ENOSPC, errno.EDQUOT)
            if isinstance(failure, OSError)
            else shutil.disk_usage(self.folder).free < _NEARLY_FULL
        )
        if failure is None:
            what = f"checkpoint step {step} was given up: another rank could not write to it"
        elif full:
            what = f"no space left on the disk for checkpoint step {step} in {self.folder}"
            fix = fix.replace("fix the cause", "free some space or set checkpoint.keep lower")
        else:
            what = f"checkpoint step {step} cannot be written to {self.folder}: {failure!s:.300}"
        raise RecipeError.of(what, fix=fix) from failure

    def _begin(self, staging: Path) -> None:
        """Nothing is written where the last checkpoint would not fit a second time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(self.folder)
        last = self.latest()
        size = sum(path.stat().st_size for path in _files(last)) if last is not None else 0
        if shutil.disk_usage(self.folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        (staging / "policy").mkdir(parents=True)

    def _show(self, staging: Path, final: Path) -> None:
        """The checkpoint gets its name; the oldest ones leave."""
        if final.exists():  # without a manifest: not a checkpoint
            set_aside(final)
        os.replace(staging, final)
        _sync_folder(self.folder)
        spared = self.spared()
        for old in complete(self.folder)[: -self.keep]:
            if old.name not in spared:
                leaving = self.folder / f".saving-removed-{old.name}"
                os.replace(old, leaving)  # one that is half removed has lost its name
                with contextlib.suppress(OSError):  # the next save tries again
                    shutil.rmtree(leaving)


def _seal(staging: Path, step: int, host: Mapping[str, JSON], written: Seals) -> None:
    """Add the host's state and the manifest, and push the folders to the disk."""
    seals = {**written, staging / "host.pt": write_state(dict(host), staging / "host.pt")}
    for path in _files(staging):
        if path not in seals:  # small ones that no rank sealed
            seals[path] = seal_file(path)
            _sync_file(path)
    facts = {
        "format": FORMAT,
        "step": step,
        "saved_at_s": time.time(),
        "files": {
            path.relative_to(staging).as_posix(): asdict(seals[path]) for path in sorted(seals)
        },
    }
    manifest = staging / MANIFEST
    manifest.write_text(json.dumps({**facts, "seal": _digest(facts)}, indent=1), encoding="utf-8")
    _sync_file(manifest)
    for folder in [staging, *(path for path in staging.rglob("*") if path.is_dir())]:
        _sync_folder(folder)


def _digest(facts: Mapping[str, JSON]) -> str:
    """Of a manifest without its own seal."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(".saving-*"):
        shutil.rmtree(leftover)


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Push a folder's names to the disk, where the file system can."""
    try:
        _sync_file(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


# -- resuming ------------------------------------------------------------------------------------


def numbered(folder: Path) -> list[Path]:
    """Everything in a run's `checkpoints` folder that is named as a step is, by its number."""
    matches = {path: _NAME.fullmatch(path.name) for path in folder.glob("step_*")}
    steps = {path: int(match[1]) for path, match in matches.items() if match}
    return sorted((p for p, step in steps.items() if p.name == _name(step)), key=steps.__getitem__)


def _name(step: int) -> str:
    return f"step_{step:06d}"


def complete(folder: Path) -> list[Path]:
    """The checkpoints that were written to their end, oldest first."""
    return [path for path in numbered(folder) if (path / MANIFEST).is_file()]


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint in a run's `checkpoints` folder."""
    return next(reversed(complete(folder)), None)


def newest_whole(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint whose files are as they were written; newer ones, and what they lack.

    Neither where there is no checkpoint. Raises RecipeError where there are some and none is
    whole, or where the newest one has another format.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in reversed(numbered(folder)):
        fault = fault_of(checkpoint)
        if not fault:
            return checkpoint, damaged
        damaged[checkpoint] = fault
    if damaged:
        found = "; ".join(f"{path.name}: {fault}" for path, fault in damaged.items())
        raise RecipeError.of(
            f"none of the checkpoints in {folder} is whole ({found})",
            path="output",
            fix="restore one from a copy, or start again in another folder, --set output=<folder>",
        )
    return None, damaged


def set_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint, so that its step can be saved again; its new place."""
    for number in range(1, 1000):
        aside = checkpoint.with_name(f"damaged-{number}-{checkpoint.name}")
        if not aside.exists():
            break
    os.replace(checkpoint, aside)
    return aside


def fault_of(checkpoint: Path) -> str:
    """What is wrong with a checkpoint's files; empty when all are as they were written.

    Raises RecipeError for a format that this version does not read.
    """
    try:
        facts = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        written, seal = facts["format"], facts.pop("seal", "")
        if seal and seal != _digest(facts):
            return f"{MANIFEST} was changed after it was written"
        if written != FORMAT:
            raise RecipeError.of(
                f"{checkpoint} has checkpoint format {written}, this version reads {FORMAT}",
                fix="resume with the version that wrote it",
            )
        if not seal:
            return f"{MANIFEST} has no seal"
        sealed = {name: FileSeal(**entry) for name, entry in facts["files"].items()}
    except FileNotFoundError:
        return f"it has no {MANIFEST}, so it was not written to its end"
    except RecipeError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be read ({type(error).__name__})"
    for name, expected in sealed.items():
        if not (checkpoint / name).is_file():
            return f"{name} is missing"
        size = (checkpoint / name).stat().st_size
        if size != expected.size:
            return f"{name} has {size} bytes, and {expected.size} were written"
    try:
        with ThreadPoolExecutor(_READERS) as readers:
            seals = list(readers.map(lambda name: seal_file(checkpoint / name), sealed))
    except OSError as error:
        return f"{error.filename or 'a file'} cannot be read ({error.strerror})"
    changed = [name for name, seal in zip(sealed, seals, strict=True) if seal != sealed[name]]
    return f"changed after it was written: {', '.join(changed)}" if changed else ""


def verify(checkpoint: Path) -> None:
    """Raises RecipeError unless the checkpoint's files are as they were written."""
    fault = fault_of(checkpoint)
    if fault:
        raise RecipeError.of(
            f"the checkpoint {checkpoint} is damaged: {fault}",
            fix="restore it from a copy, or choose another checkpoint",
        )


def load_host(checkpoint: Path) -> dict[str, JSON]:
    """The plain state of a checkpoint that was verified."""
    state: dict[str, JSON] = read_state(checkpoint / "host.pt")
    return state
