"""Control groups: limits on all processes of a program together, where we may set them.

They bound what the limits of a single process miss: memory in files, pipes and kernel tables, and
the number of tasks. Usable as root with cgroup v1, or below a cgroup v2 folder that was handed to
this user with its memory and pids controllers, as systemd does for a session.
"""

import contextlib
import functools
import itertools
import os
import time
from pathlib import Path

_PREFIX = "temper-sandbox"
_number = itertools.count()

# What is written for memory in bytes and for tasks; a file that is not there is not needed.
_V1_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "pids": ("pids.max",),
}
_V2_FILES = {"memory": ("memory.max",), "pids": ("pids.max",)}


@functools.cache
def usable_folders() -> dict[str, Path]:
    """The folder below which a group can be made, for each controller; empty where none can.

    Also removes groups that a process of ours left when it was killed.
    """
    folders = own_folders()
    for folder in set(folders.values()):
        for left in folder.glob(f"{_PREFIX}-*-*"):
            if not os.path.exists(f"/proc/{left.name.split('-')[2]}"):
                with contextlib.suppress(OSError):
                    left.rmdir()
    try:
        group = ControlGroup(folders, memory_mb=64, tasks=8)
    except OSError:
        return {}
    group.close()
    return folders


def own_folders() -> dict[str, Path]:
    """From /proc/self/cgroup: lines of "number:controllers:path", without controllers in v2."""
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        v1 = {
            name: Path(f"/sys/fs/cgroup/{name}{path}")
            for _, names, path in lines
            for name in names.split(",")
            if name in _V1_FILES
        }
        if len(v1) == len(_V1_FILES):
            return v1
        for _, names, path in lines:
            if not names:  # a group that holds processes has no limited groups below it: beside it
                return dict.fromkeys(_V2_FILES, Path(f"/sys/fs/cgroup{path}").parent)
    return {}


class ControlGroup:
    """A new group; a process that writes 0 to each of `files` is in it, with all that it starts."""

    def __init__(self, folders: dict[str, Path], *, memory_mb: int, tasks: int) -> None:
        if not folders:
            raise OSError("no control groups can be made here")
        name = f"{_PREFIX}-{os.getpid()}-{next(_number)}"
        self._folders = sorted({folder / name for folder in folders.values()})
        self.files: list[int] = []
        values = {"memory": memory_mb << 20, "pids": tasks}
        try:
            for folder in self._folders:
                folder.mkdir()
            for controller, folder in folders.items():
                v2 = len(self._folders) == 1
                for number, file in enumerate((_V2_FILES if v2 else _V1_FILES)[controller]):
                    if number == 0 or (folder / name / file).exists():
                        (folder / name / file).write_text(str(values[controller]))
            for folder in self._folders:
                self.files.append(os.open(folder / "cgroup.procs", os.O_WRONLY))
        except OSError:
            self.close()
            raise

    def close_files(self) -> None:
        """Once the process has been started."""
        while self.files:
            os.close(self.files.pop())

    def close(self) -> None:
        """Remove the group; the kernel needs a moment after its last process has ended."""
        self.close_files()
        for folder in self._folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                    continue
                break
