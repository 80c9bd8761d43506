r"""Multiple-choice letters with their decoration: `(C)`, `\textbf{(C)} 12`, `Option C`, `C. 12`."""

import re

from rewards.answers.normalize import unstyled
from rewards.answers.unicode_math import to_latex

_FLAT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_GOLD = re.compile(r"(?:option |choice )?\(?([A-J])\)?[.:]?", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?i:(?:the )?(?:(?:correct |best |right )?(?:option|choice|answer)(?: is)?:? )?)"
    r"(?:(?P<bare>[A-J])|\((?P<round>[A-Ja-j])\)|\[(?P<square>[A-J])\]|(?P<marked>[A-J])\s?[).:])"
    r"(?P<rest>(?:\s.*|$))",
    re.DOTALL,
)
_OPTION = re.compile(
    r"[\s$]*(?:\\(?:text|textbf|textrm|mathrm|mathbf)\s*\{\s*\((?P<styled>[A-J])\)[.:]?\s*\}"
    r"|\((?P<plain>[A-J])\)(?=[\s~\\]))(?:\s|~|\\[ ,;:!]|\\quad)*(?P<value>[^\s].*)",
    re.DOTALL,
)
_ANOTHER = re.compile(
    r"\([A-J]\)|(?<![A-Za-z\\])[A-J][).](?=\s|$)|n't\b"
    r"|\b(?:or|and|not|but|wrong|false|incorrect|maybe|[Nn]o,)(?!\w)"
)


def _flat(text: str) -> str:
    text = unstyled(to_latex(text))
    for _ in range(3):
        text = _FLAT.sub(r" \1 ", text)
    return re.sub(r"[\s{}$]+", " ", text.replace("**", "")).strip()


def gold_letter(gold: str) -> str:
    """The letter when the gold answer is one option, else empty."""
    flat = _flat(gold)
    match = _GOLD.fullmatch(flat) if len(flat) < 12 else None
    return match[1] if match and match[1].isupper() else ""


def chosen(answer: str) -> str:
    """The letter an answer chooses; empty when it chooses none or several."""
    flat = _flat(answer)[:2000]
    match = _ANSWER.fullmatch(flat)
    if match is None or _ANOTHER.search(match["rest"]):
        return ""
    if match["bare"]:
        return match["bare"] if not match["rest"].strip(" .") else ""
    return (match["round"] or match["square"] or match["marked"]).upper()


def option(text: str) -> tuple[str, str]:
    """Letter and value of `\\textbf{(A) } 3`; the letter is empty when there are not both."""
    match = _OPTION.fullmatch(text[:2000])
    if match is None or _ANOTHER.search(_flat(match["value"])):
        return "", text
    return match["styled"] or match["plain"], match["value"].strip(" $")


def same_choice(gold: str, answer: str) -> bool:
    """Whether the gold answer is an option's letter and the answer chooses it."""
    letter = gold_letter(gold)
    if letter:
        return chosen(answer) == letter
    several = _several(gold)
    return bool(several) and several == _several(answer)


def _several(text: str) -> frozenset[str]:
    """Two or more different letters, `AC` or `A, C` or `(A) and (C)`; empty for anything else."""
    letters = re.findall(r"[A-J]", flat := _flat(text)[:60])
    rest = re.sub(r"[A-J(),;\s]|and", "", flat)
    rising = letters == sorted(set(letters)) or "," in flat or "and" in flat
    return frozenset(letters) if len(letters) > 1 and not rest and rising else frozenset()
