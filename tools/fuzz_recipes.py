"""Mutants of the shipped recipes: each must be accepted, or refused with a line.

    python -m tools.fuzz_recipes --count 1000 --seed 0

A mutant is one or two changes of a recipe's text or tree. It is read as `temper check` reads it,
without the data and models it names. Counted are tracebacks (a defect of ours), refusals that name
no line, and mutants that take long.
"""

import argparse
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import PACKAGE
from recipes.slots.spec import JSON
from trainer.recipe.check import load_any

SLOW_S = 3.0  # of CPU time
LINE = re.compile(r"(:\d+$|^--set)")
VALUES = (
    *("-1", "0", "1", "2147483648", "1180591620717411303424", "9" * 5000, "1e999", ".inf", "0.5"),
    *("null", "true", "[]", "{}", "''", "'..'", "'²'", '"\\ud800"', "http://", "{name: grpo}"),
    *("[1, [2]]", "a: b", "&x 1", "!!python/name:os.system", "[" * 400, "{name: linear}", "'%s'"),
    *("'{answer}'", "'a\\0b'", "../" * 50, "ü" * 300, "{? [a] : 1}", "- 1", "x" * 5000),
)
LETTERS = "{}[]:,-#'\"&*!|>%@`\t\n 0a.é\u2028\x00"


def with_value(lines: list[str], rng: random.Random) -> list[str]:
    """A value of another kind in one line."""
    at = rng.choice([i for i, line in enumerate(lines) if ":" in line])
    found = list(re.finditer(r"([\w.]+): *([^,}\]\n]*)", lines[at]))
    if not found:
        return lines
    match = rng.choice(found)
    start, end = match.span(2)
    value = rng.choice(VALUES)
    return [*lines[:at], f"{lines[at][:start]} {value}{lines[at][end:]}", *lines[at + 1 :]]


def with_letter(lines: list[str], rng: random.Random) -> list[str]:
    """One character more or another one, anywhere."""
    text = "\n".join(lines)
    at = rng.randrange(len(text))
    return (text[:at] + rng.choice(LETTERS) + text[at + rng.randrange(2) :]).split("\n")


def without_line(lines: list[str], rng: random.Random) -> list[str]:
    """One line less."""
    at = rng.randrange(len(lines))
    return [*lines[:at], *lines[at + 1 :]]


def with_line_of_another(lines: list[str], rng: random.Random) -> list[str]:
    """A line of another recipe, or one twice."""
    line = rng.choice(rng.choice(TEXTS).split("\n"))
    at = rng.randrange(len(lines) + 1)
    return [*lines[:at], " " * rng.choice((0, 0, 2)) + line, *lines[at:]]


def with_key_misspelt(lines: list[str], rng: random.Random) -> list[str]:
    """Two letters of a word swapped."""
    at = rng.randrange(len(lines))
    words = list(re.finditer(r"[a-z_]{3,}(?=:)", lines[at]))
    if not words:
        return lines
    start = rng.choice(words).start()
    line = lines[at]
    swapped = f"{line[:start]}{line[start + 1]}{line[start]}{line[start + 2 :]}"
    return [*lines[:at], swapped, *lines[at + 1 :]]


CHANGES: tuple[Callable[[list[str], random.Random], list[str]], ...] = (
    with_value, with_value, with_letter, without_line, with_line_of_another, with_key_misspelt,
)  # fmt: skip
RECIPES = sorted(
    path
    for path in [*PACKAGE.rglob("*.yaml"), *(PACKAGE.parent / "eval" / "suites").glob("*.yaml")]
    if path.parent.name not in ("algorithms", "models")
)
TEXTS = [path.read_text(encoding="utf-8") for path in RECIPES]


def paths_of(tree: JSON, above: str = "") -> list[str]:
    """Every dotted path of a plain tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in items:
        found.append(f"{above}{key}")
        if isinstance(value, dict | list):
            found += paths_of(value, f"{above}{key}.")
    return found


def override(text: str, rng: random.Random) -> list[str]:
    """A hostile `--set`, now and then."""
    if rng.random() > 0.3:
        return []
    path = rng.choice(
        [*paths_of(yaml.safe_load(text)), "loggers.²", "terms.99", "", "a" + ".b" * 99]
    )
    return [f"{path}={rng.choice(VALUES)}"]


def outcome_of(file: Path, overrides: list[str]) -> tuple[str, str]:
    """What became of a mutant, and the words that belong to it."""
    before = time.process_time()
    try:
        load_any(str(file), overrides)
        outcome, words = "accepted", ""
    except RecipeError as error:
        bare = [str(fault) for fault in error.faults if not LINE.search(fault.where)]
        outcome, words = ("refused, no line", bare[0]) if bare else ("refused with lines", "")
    except BaseException:  # whatever else comes out is what this looks for
        outcome, words = "traceback", traceback.format_exc(limit=-4)
    if time.process_time() - before > SLOW_S and outcome != "traceback":
        return "slow", f"{time.process_time() - before:.1f} s"
    return outcome, words


def main() -> int:
    """Print a table and examples; 1 when there is a traceback."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for recipe in RECIPES:
        outcome_of(recipe, [])  # imports are nobody's time
    counts: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.count):
            rng = random.Random(f"{asked.seed}-{number}")
            text = rng.choice(TEXTS)
            lines = text.split("\n")
            for _ in range(rng.choice((1, 1, 2))):
                lines = rng.choice(CHANGES)(lines, rng)
            file = Path(folder) / f"mutant_{number}.yaml"
            file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
            overrides = override(text, rng)
            outcome, words = outcome_of(file, overrides)
            counts[outcome] += 1
            if words and shown[outcome] < 12:
                shown[outcome] += 1
                print(f"[{number}] {outcome}: {str(overrides)[:120]} {words[:900]}")
    for outcome, count in counts.most_common():
        print(f"{count:6} {outcome}")
    return 1 if counts["traceback"] else 0


if __name__ == "__main__":
    sys.exit(main())
