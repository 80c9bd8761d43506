"""Sandbox levels under test, and the processes that a trainer has confined."""

from pathlib import Path

import pytest

from rewards.sandbox import LEVELS, Sandbox, SandboxUnavailable, choose

EVERY_LEVEL = pytest.mark.parametrize("level", LEVELS)


def at(level: str) -> Sandbox:
    """The level, or a skip that says why it is not here."""
    try:
        return choose(level)
    except SandboxUnavailable as error:
        pytest.skip(f"sandbox level {error}")


def processes_of(trainer: int) -> list[int]:
    """Confined processes that this trainer started: their command line names it."""
    mark = f'"parent": {trainer},'.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
