"""The recipe fuzzer tells its outcomes apart, and its first mutants have no traceback."""

import random
from pathlib import Path

from recipes.loading.recipe_tree import PACKAGE
from tools.fuzz_recipes import CHANGES, RECIPES, TEXTS, outcome_of


def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    assert outcome_of(PACKAGE / "quickstart.yaml", []) == ("accepted", "")
    (tmp_path / "bad.yaml").write_text("extends: quickstart\nsteps: none\n")
    assert outcome_of(tmp_path / "bad.yaml", [])[0] == "refused with lines"
    assert outcome_of(tmp_path / "absent.yaml", [])[0] == "refused, no line"


def test_fifty_mutants_are_accepted_or_refused_with_a_line(tmp_path: Path) -> None:
    for number in range(50):
        rng = random.Random(number)
        mutant = rng.choice(CHANGES)(rng.choice(TEXTS).split("\n"), rng)
        file = tmp_path / f"{number}.yaml"
        file.write_bytes("\n".join(mutant).encode("utf-8", "surrogatepass"))
        assert outcome_of(file, [])[0] in ("accepted", "refused with lines", "slow")
    assert len(RECIPES) > 15
