"""Code may move between files without a hash that changes; nothing else may change unseen."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rewards.audit.definitions import JOBS, MACHINERY, MACHINERY_ROOMS, definitions, plugin_files

ROOT = Path(__file__).resolve().parents[3]

ONE = """
import math
from beside import scale as times

LIMIT = 3

def rate(response):
    'How long.'
    from beside import clipped
    return clipped(times(response) * math.e, LIMIT)
"""
BESIDE = """
def scale(text): return len(text)
def clipped(x, at): return min(x, at)
"""


def known(folder: Path, **files: str):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return definitions(plugin_files(folder / "one.py"))


def folder(tmp_path, name):
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_a_definition_is_known_by_its_name(tmp_path):
    code = known(tmp_path, one=ONE, beside=BESIDE)
    assert code.keys() == {"import math", "LIMIT", "rate", "scale", "clipped"}


def test_files_may_be_joined_split_and_renamed(tmp_path):
    before = known(folder(tmp_path, "a"), one=ONE, beside=BESIDE)
    joined = ONE.replace("from beside import scale as times\n", BESIDE).replace("times", "scale")
    joined = joined.replace("    from beside import clipped\n", "")
    assert known(folder(tmp_path, "b"), one=joined) == before
    scale, clipped = BESIDE.strip().split("\n")
    split = ONE.replace("beside import clipped", "other import clipped")
    assert known(folder(tmp_path, "c"), one=split, beside=scale, other=clipped) == before


def test_a_module_may_be_called_by_its_name_and_lie_deeper(tmp_path):
    before = known(folder(tmp_path, "a"), one=ONE, beside=BESIDE)
    text = ONE.replace("from beside import scale as times", "from sub import other")
    text = text.replace("from beside", "from sub.other").replace("times(", "other.scale(")
    place = folder(tmp_path, "b")
    (place / "sub").mkdir()
    (place / "sub" / "other.py").write_text(BESIDE)
    assert known(place, one=text) == before


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("* math.e", "* math.pi", "rate"),
        ("LIMIT = 3", "LIMIT = 4", "LIMIT"),
        ("scale as times", "clipped as times", "rate"),
        ("import math", "import cmath as math", "import cmath as math"),
    ],
)
def test_what_code_does_is_seen(tmp_path, old, new, name):
    before = known(folder(tmp_path, "a"), one=ONE, beside=BESIDE)
    after = known(folder(tmp_path, "b"), one=ONE.replace(old, new), beside=BESIDE)
    assert before != after
    assert before.get(name) != after[name]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'How long.'", "'Of what length.'"),
        ("LIMIT = 3", "LIMIT  =  3  # at most"),
        ("import math", "import math\n__all__ = ['rate']"),
    ],
)
def test_what_is_said_of_it_is_not(tmp_path, old, new):
    before = known(folder(tmp_path, "a"), one=ONE, beside=BESIDE)
    assert known(folder(tmp_path, "b"), one=ONE.replace(old, new), beside=BESIDE) == before


def test_the_description_of_an_option_is_not_what_it_does(tmp_path):
    option = "x = Field(gt=0, description='at most')\n"
    before = known(folder(tmp_path, "a"), one=option)
    assert known(folder(tmp_path, "b"), one=option.replace("at most", "the most")) == before
    assert known(folder(tmp_path, "c"), one=option.replace("gt=0", "gt=1")) != before


def test_a_package_of_the_user_is_followed_by_relative_imports_too(tmp_path):
    package = folder(tmp_path, "lib")
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("Y = 1\n")
    code = known(package, one="from .words import X\n", words="from lib.other import Y\nX = 1\n")
    assert code.keys() == {"X", "Y"}


def test_every_module_that_does_not_count_exists():
    for module in (*MACHINERY, *MACHINERY_ROOMS, JOBS):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


SCRIPT = """
import json, sys
from rewards.audit.provenance import changes, provenance_of
from rewards.verifiers import verifier
bound = verifier.bind(json.loads(sys.argv[1]))
saved = sys.stdin.read()
print(json.dumps(changes(json.loads(saved), bound) if saved else provenance_of(bound).plain()))
"""
ENTRY = {"name": "ranked", "components": {"answer": "math_equal", "form": "exact"}}


def in_copy(copy: Path, saved: object = "") -> object:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(ENTRY)],
        input=json.dumps(saved) if saved else "",
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def replace_everywhere(copy: Path, old: str, new: str) -> None:
    for file in (copy / "rewards").rglob("*.py"):
        text = file.read_text()
        if old in text:
            file.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_resume_goes_on_after_a_verifiers_helper_has_moved(tmp_path):
    for layer in ("recipes", "rewards"):
        shutil.copytree(ROOT / layer, tmp_path / layer)
    saved = in_copy(tmp_path)
    (tmp_path / "rewards" / "elsewhere").mkdir()
    (tmp_path / "rewards" / "elsewhere" / "__init__.py").write_text("")
    for old, new in (
        ("rewards.answers.extract", "rewards.elsewhere.taken_out"),
        ("rewards.math.verdict", "rewards.elsewhere.compared"),  # the target of a worker
        ("rewards.composition", "rewards.elsewhere.composed"),
    ):
        place = tmp_path.joinpath(*new.split(".")).with_suffix(".py")
        tmp_path.joinpath(*old.split(".")).with_suffix(".py").rename(place)
        replace_everywhere(tmp_path, old, new)
    assert in_copy(tmp_path, saved) == [[], ""]

    place = tmp_path / "rewards" / "elsewhere" / "composed.py"
    place.write_text(place.read_text().replace('"; ".join', '" and ".join'))
    found, unknown = in_copy(tmp_path, saved)
    assert unknown == ""
    names = {change.removeprefix("the code of ").split(" ")[0] for change in found}
    assert names == {"reason_of", "missing_of"}
