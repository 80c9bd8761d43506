"""Functions for the workers of tests/rewards/workers."""

import asyncio
import atexit
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

PREPARED: list[object] = []
UNDER_WAY = [0, 0]  # now, and at most
MET: list[int] = []
NOTES: list[Path] = []
CHILD = """
import os, subprocess, sys, time
command = [sys.executable, "-c", "import time; time.sleep(300)"]
far = subprocess.Popen(command, start_new_session=True)
with open(sys.argv[1] + ".part", "w") as note:
    note.write(f"{sys.argv[2]} {os.getpid()} {far.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(300)
"""


def double(number):
    return 2 * number


def prepare(number):
    time.sleep(0.3)
    PREPARED.append(number)


def prepared(number):
    return PREPARED


def variables(number):
    return sorted(os.environ)


def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()


def die(number):
    os._exit(5)


def fail(number):
    raise ValueError(f"not {number}")


def odd(number):
    return {1, 2}


def process(number):
    return os.getpid()


async def wait(seconds):
    await asyncio.sleep(seconds)
    return seconds


async def meet(number):
    """Comes back when eight are here: they must be under way at the same time."""
    MET.append(number)
    while len(MET) < 8:
        await asyncio.sleep(0.01)
    return number, os.getpid()


async def most_at_once(seconds):
    UNDER_WAY[0] += 1
    UNDER_WAY[1] = max(UNDER_WAY)
    await asyncio.sleep(seconds)
    UNDER_WAY[0] -= 1
    return UNDER_WAY[1]


def leave_child(number, folder=""):
    """Notes the numbers of this process, of a child and of the child's own, and never returns."""
    note = Path(folder or os.environ["HOME"]) / f"pids-{number}"
    subprocess.Popen([sys.executable, "-c", CHILD, str(note), str(os.getpid())])
    time.sleep(300)


def remember(path):
    NOTES.append(Path(path))
    atexit.register(lambda: Path(path).write_text(Path(path).read_text() + ", at exit"))


async def goodbye():
    await asyncio.sleep(0)
    for note in NOTES:
        note.write_text("goodbye")


def say(text):
    print(text)
    return "said"


def reserve(size):
    mmap.mmap(-1, size, prot=mmap.PROT_READ).close()
    return "reserved"


def allocate(size):
    return len(bytes(size))
