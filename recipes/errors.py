"""The one error a user's recipe, data or folder can raise.

    RecipeError      the recipe, or a file it names, cannot work; carries every fault found

A fault names the place, the fact and the fix. Anything else that reaches the user as a traceback
is our own defect.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong.

    where: file and line, `recipes/grpo.yaml:12`, or `--set`; empty when no file is to blame
    path:  dotted path inside the recipe, `advantage.std_normalize`; empty when there is none
    what:  what was found, and what was expected
    fix:   what to change; empty only where `what` already says it
    """

    where: str = ""
    path: str = ""
    what: str
    fix: str = ""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.where, self.path) if part)
        text = f"{place}: {self.what}" if place else self.what
        return f"{text}; {self.fix}" if self.fix else text


class RecipeError(ValueError):
    """A user's mistake, with all faults found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        assert faults, "a RecipeError without a fault tells the user nothing"
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    @classmethod
    def of(cls, what: str, *, fix: str = "", path: str = "", where: str = "") -> "RecipeError":
        """A RecipeError with a single fault."""
        return cls([Fault(where=where, path=path, what=what, fix=fix)])
