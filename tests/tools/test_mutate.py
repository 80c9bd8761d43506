from pathlib import Path

import pytest

from tools import mutate
from tools.mutate import baseline_s, mutants, near_tests, survives

SOURCE = '''"""A docstring with 1 number."""

LIMIT = 3


def clip(value: int, *, low: int = 0) -> int:
    """Not 5."""
    assert value > -9, "message 7"
    if value < low and not value == 4:
        raise ValueError("2 too low")
    print(value)
    return value + 1
'''


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "clip.py").write_text(SOURCE)
    return tmp_path


def test_each_change_is_one_of_what_is_executed(checkout: Path):
    changed = [(m.line, m.after.splitlines()[0]) for m in mutants(Path("pkg/clip.py"))]
    assert (9, "if value <= low and (not value == 4):") in changed
    assert (9, "if value < low or not value == 4:") in changed
    assert (9, "if value < low and (not value != 4):") in changed
    assert (9, "if value < low and (not value == 5):") in changed
    assert (9, "if False:") in changed
    assert (11, "None") in changed
    assert (12, "return value - 1") in changed
    assert (12, "return value + 2") in changed
    assert all(line in (9, 11, 12) for line, _ in changed)  # no default, assertion or message


def test_the_file_is_whole_again_after_each_change(checkout: Path):
    texts = [m.text for m in mutants(Path("pkg/clip.py"))]
    assert len(set(texts)) == len(texts)
    assert all(text.count("LIMIT = 3") == 1 for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize(("line", "lives"), [("return value + 2", False), ("None", True)])
def test_a_mutant_survives_what_no_test_looks_at(checkout: Path, line: str, lives: bool):
    (checkout / "test_clip.py").write_text(
        "from pkg.clip import clip\n\ndef test_adds_one():\n    assert clip(2) == 3\n"
    )
    [mutant] = [m for m in mutants(Path("pkg/clip.py")) if m.after == line]
    assert survives(mutant, checkout, ["test_clip.py"]) == lives
    assert (checkout / "pkg" / "clip.py").read_text() == SOURCE


@pytest.mark.slow
def test_nothing_is_measured_where_a_test_fails_without_a_mutant(checkout: Path):
    test = checkout / "test_clip.py"
    test.write_text("def test_that_passes():\n    assert True\n")
    assert baseline_s(checkout, ["test_clip.py"]) > 0
    test.write_text("def test_that_fails():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"without any mutant(.|\n)*test_that_fails"):
        baseline_s(checkout, ["test_clip.py"])


@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("trainer/ops/gae.py", ["tests/trainer/ops/test_gae.py"]),
        (
            "trainer/masks/actions.py",
            ["tests/trainer/masks/test_actions.py", "tests/contracts/test_mask.py"],
        ),
    ],
)
def test_a_file_is_tried_with_its_mirror_and_the_contract_of_its_slot(file: str, tests: list[str]):
    assert near_tests(Path(file)) == tests
