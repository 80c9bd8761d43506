"""What the trainer's side tells a confined process, as one JSON argument."""

import json
from typing import NamedTuple


class LaunchOrder(NamedTuple):
    """How to lock down, and what to run then.

    A named tuple, because importing dataclasses takes as long as all the rest in here.
    """

    level: str  # "bubblewrap", "namespaces" or "rlimits"
    role: str  # "program", "serve" or "grader"
    parent: int  # process id of the trainer
    user: int  # become this user before anything untrusted runs; -1 keeps the present one
    mapped: bool  # the upper levels: in a user namespace, where this user is called nobody
    readable: tuple[str, ...]  # folders and files that may be read
    folder: str  # the temporary folder; empty for none
    filtered: bool  # system calls are filtered; without, the level is weaker and says so
    landlocked: bool  # only where files are shared with the machine ("rlimits")
    cpu_s: int  # seconds of processor time, then SIGKILL
    memory_mb: int  # address space of a process
    disk_mb: int  # the temporary folder; where it is an ordinary folder, one file
    inodes: int  # files and folders in the temporary folder, where it is not an ordinary one
    processes: int  # 1: threads only; more: as many tasks, where the level has process ids alone
    files: int  # open at once
    packages: str  # folder of installed packages that may be imported; empty for none
    fds: tuple[int, ...]  # further open files, for the role
    groups: tuple[int, ...]  # open `cgroup.procs` files of the control groups to join

    def encode(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def decode(cls, text: str) -> "LaunchOrder":
        given = json.loads(text)
        for key in ("readable", "fds", "groups"):
            given[key] = tuple(given[key])
        return cls(**given)
