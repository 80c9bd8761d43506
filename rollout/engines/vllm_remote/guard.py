"""A process between trainer and server: when the trainer goes, however it goes, so does the server.

    trainer --starts--> guard (a session of its own) --starts--> server --starts--> its workers
       ^---- looks whether it still lives ----'   kills the whole process group

Run as a file, `python guard.py <trainer's pid> <folder> command...`, so that it loads nothing
else. The folder is removed where the trainer is gone and cannot.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

_LOOK_S = 0.3
_GRACE_S = 5.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def guard(parent: int, command: Sequence[str]) -> int:
    """Run the command until it ends, the parent is gone or SIGTERM comes; its exit code."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    die = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def with_guard() -> None:
        if die is not None:
            die(_DIE_WITH_PARENT, signal.SIGKILL)

    server = subprocess.Popen(command, preexec_fn=with_guard)
    while server.poll() is None and not asked and os.getppid() == parent:
        time.sleep(_LOOK_S)
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=_GRACE_S)
    return server.poll() or 0


if __name__ == "__main__":
    try:
        code = guard(int(sys.argv[1]), sys.argv[3:])
        print(f"the server ended with exit code {code}", flush=True)
        if os.getppid() != int(sys.argv[1]):
            shutil.rmtree(sys.argv[2], ignore_errors=True)
    finally:
        os.killpg(0, signal.SIGKILL)  # workers that outlived the server, and this process
