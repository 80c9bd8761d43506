"""The one error a user's recipe, data or folder can raise.

    RecipeError      the recipe, or a file it names, cannot work; carries every fault found

A fault names the place, the fact and the fix. Anything else that reaches the user as a traceback
is our own defect.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# A setting whose value may be a key: `api_key_env=x`, `{token: x}`, `'api_key': 'x'`; max_tokens is
# none. What is written like the name of an environment variable belongs there, and is shown.
_NAMED = re.compile(
    r"""(?ix)
    ( (?:^|[\s.{,'"])
      (?: \w*(?:api_?key|secret|passw|credential)\w* | (?:\w*_)?(?:key|token)(?:_env)? )
      (?: \s*=\s* | ['"]?:\s+ ) ["']? )
    (?! (?-i:[A-Z_][A-Z0-9_]*) (?![\w.+/-]) )
    [^\s"',;}\])]+
    """
)
_ISSUED = re.compile(
    r"\b(?:[srp]k-[\w-]{8,}|hf_\w{8,}|gh[opsu]_\w{8,}|eyJ[\w-]{8,}[.\w-]*)"  # by who issues keys
)
_LONGEST = 200  # characters of a value in a message


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
        whole = _ISSUED.sub("<left out>", f"{text}; {self.fix}" if self.fix else text)
        # Bytes of a path or an argument that are not UTF-8 reach us as halves of characters.
        return whole.encode("utf-8", "backslashreplace").decode()


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


def without_secrets(setting: str) -> str:
    """A setting as text, `judge.api_key_env=x` or `{'api_key': 'x'}`, without a key in it."""
    named = _NAMED.sub(lambda found: f"{found[1]}<left out>", setting)
    return _ISSUED.sub("<left out>", named)


def shown(value: object) -> str:
    """A setting's value for a message."""
    return shortened(without_secrets(repr(value)))


def shortened(text: str) -> str:
    """The text, or its beginning where it is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def choose_from(known: Iterable[str], word: str, *, label: str = "known") -> str:
    """A fix: `did you mean 'grpo'? (known: grpo, rloo)`, or `use one of: grpo, rloo`."""
    names = list(known)
    if not names:
        return "take it out"
    near = did_you_mean(word, names)
    listed = ", ".join(names)
    return f"{near}({label}: {listed})" if near else f"use one of: {listed}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'grpo'? `, or nothing when no name is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'? " if near else ""


def relative(file: str) -> str:
    """`file` relative to the repository or the current folder where it lies in one of them."""
    for root in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if Path(file).is_relative_to(root):
            return str(Path(file).relative_to(root))
    return file
