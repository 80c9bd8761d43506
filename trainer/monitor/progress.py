"""The step counter: resumable, and able to stop between two steps when asked."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

PATIENCE_S = 2.0  # a launcher that forwards a signal sends it twice within this
STOPPED = 3  # exit code of a run that ended itself with a cause
RESUME_ME = 75  # exit code of a run that saved itself and wants to be started again


class Progress:
    """Counts steps and what they consumed; `step` is the next one to run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.step = 0
        self.samples = 0
        self.tokens = 0
        self.skipped_in_a_row = 0
        self.stopping = False

    def __iter__(self) -> Iterator[int]:
        while self.step < self.total and not self.stopping:
            step = self.step
            yield step
            assert self.step == step + 1, "the step was not closed by Run.finish"

    @property
    def done(self) -> bool:
        return self.step >= self.total

    def state_dict(self) -> dict[str, int]:
        return {
            "step": self.step,
            "samples": self.samples,
            "tokens": self.tokens,
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]
        self.samples = state["samples"]
        self.tokens = state["tokens"]
        self.skipped_in_a_row = state["skipped_in_a_row"]


class StopSignal:
    """Turns SIGTERM and Ctrl-C into a flag; a second Ctrl-C, seconds later, ends the process."""

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self.listeners: list[Callable[[], None]] = []  # called from the signal handler

    @contextlib.contextmanager
    def watching(self) -> Iterator["StopSignal"]:
        """Listen while the block runs, then restore the handlers that were there."""
        before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The first signal asks; a later Ctrl-C, of a person who read the answer, ends at once."""
        if self.asked:
            if number == signal.SIGINT and time.monotonic() - self._asked_at > PATIENCE_S:
                raise KeyboardInterrupt
            return
        self.asked = True
        self._asked_at = time.monotonic()
        os.write(2, b"stopping at the end of this step; Ctrl-C again to end at once, unsaved\n")
        for listener in self.listeners:
            listener()
