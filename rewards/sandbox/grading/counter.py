"""Counts what passed, and remembers the first thing that did not."""

from collections.abc import Callable


class Stop(BaseException):
    """The first failure decides; not an Exception, so that no test can swallow it."""


class AssertionCounter:
    """Outcomes of the assertions of one trial.

    total: tests as written; a loop may record more, a program that hangs fewer.
    """

    def __init__(self, *, stop_at_first: bool) -> None:
        self.total = 0
        self.passed = 0
        self.failed = 0
        self.reason = ""
        self._stop_at_first = stop_at_first

    def record(self, what: str, passed: bool, why: str = "") -> None:
        """Count one test; raises Stop at the first failure where that is all that matters."""
        if passed:
            self.passed += 1
            return
        self.failed += 1
        self.reason = self.reason or f"failed: {what}{f' ({why})' if why else ''}"
        if self._stop_at_first:
            raise Stop(self.reason)

    def failed_with(self, what: str, error: BaseException) -> None:
        """Count one test that raised."""
        self.record(what, False, f"{type(error).__name__}: {short(error)}")

    def result(self, *, finished: bool) -> tuple[int, int]:
        """Passed and total; tests that were never reached count as failed.

        Finished without a failure, what was reached is all there is: an assertion in a branch not
        taken is no test. A trial that was cut short never passes whole.
        """
        if finished and not self.failed and self.passed:
            return self.passed, self.passed
        total = max(self.total, self.passed + self.failed)
        return self.passed, total + (self.passed == total)


def short(value: object, text: Callable[[object], str] = str) -> str:
    """A value's text for a reason; it may have none, such as a number of too many digits."""
    try:
        return text(value)[:200]
    except Exception as error:
        return f"{type(value).__name__} without a text ({type(error).__name__})"
