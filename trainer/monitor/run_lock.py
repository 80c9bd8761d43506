"""One writer in one folder: a lock with the host and the process that hold it.

    <output>/run.lock       there while a run, or a command that writes a model, uses the folder

It needs nothing of the file system but exclusive creation, so it holds on network file systems
too. Whoever finds it decides whether its holder is gone: on the same host by the process, from
another host by the file's time, which the holder renews. A holder that was replaced while it slept
ends itself before it writes again. Only rank 0 takes it.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import SoftFileLease, Timeout

from recipes.errors import RecipeError
from trainer.monitor.progress import STOPPED
from trainer.parallel.rank_zero import launched_as_main

if TYPE_CHECKING:  # not a public name of the package
    from filelock._lease import LeaseCompromise

FILE = "run.lock"
LEASE_S = 90.0  # without renewal, after which a holder on another host counts as gone
_POLL_S = 0.5


@contextlib.contextmanager
def locked(folder: Path, *, lease_s: float = LEASE_S) -> Iterator[None]:
    """Within it no other process writes to the folder. Raises RecipeError where one does.

    Folders that it made and in which nothing was written are removed at the end.
    """
    if not launched_as_main():
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(
        folder / FILE, lease_duration=lease_s, on_compromise=_give_up, thread_local=False
    )
    renewed = _renewed(folder)
    waiting = False
    while True:  # at once, or when its holder shows no sign of life for the lease's duration
        with contextlib.suppress(Timeout):
            lease.acquire(timeout=_POLL_S, poll_interval=_POLL_S / 5)
            break
        owner = lease.owner
        if owner is None:  # released meanwhile, or not written yet
            continue
        if _renewed(folder) != renewed or _lives_here(owner.hostname, owner.pid):
            raise RecipeError.of(
                f"{folder} is in use by process {owner.pid} on {owner.hostname}",
                path="output",
                fix="wait until it ends or end it, or write elsewhere with --set output=<folder>",
            )
        if not waiting:
            waiting = True
            print(
                f"{folder} was in use by process {owner.pid} on {owner.hostname}; waiting "
                f"{lease.lease_duration:g} s for a sign that it still is",
                file=sys.stderr,
                flush=True,
            )
    try:
        yield
    finally:
        lease.release()
        with contextlib.suppress(OSError):  # one that is not empty stays, and those above it
            for path in made:  # what did not start leaves nothing behind
                path.rmdir()


def _renewed(folder: Path) -> float:
    """When the holder was last seen, by the file server's clock; 0 where there is no lock."""
    try:
        with (folder / FILE).open("rb") as file:  # opening asks a network file system afresh
            return os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return 0.0


def _lives_here(host: str, pid: int) -> bool:
    """Whether the holder is a process of this host that has not ended."""
    with tempfile.TemporaryDirectory() as scratch, SoftFileLease(Path(scratch) / FILE) as own:
        if own.owner is None or own.owner.hostname != host:
            return False
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _give_up(loss: "LeaseCompromise") -> None:
    """Called in the lease's thread: nothing more may be written, so nothing more is done."""
    print(
        f"stopped: the lock {loss.lock_file} was lost ({loss.reason}): another process has taken "
        "the folder, or it was removed or cannot be reached. Nothing more is written to it",
        file=sys.stderr,
        flush=True,
    )
    os._exit(STOPPED)
