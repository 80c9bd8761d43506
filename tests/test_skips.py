"""A skip for an unlisted reason fails the session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import unlisted

ROOT = Path(__file__).resolve().parent.parent


def test_reasons_are_matched_with_the_list() -> None:
    assert unlisted(["sleep needs a GPU", "no network today"]) == ["no network today"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("pytest.skip('sleep needs a GPU')", 0),
        ("pytest.skip('no network today')", 1),
        ("pytest.importorskip('nothing_of_this_name')", 1),
        ("assert True", 0),
    ],
)
def test_an_unlisted_skip_fails_the_session(tmp_path: Path, body: str, status: int) -> None:
    (tmp_path / "test_one.py").write_text(f"import pytest\ndef test_one():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:randomly"]
    done = subprocess.run(
        [*command, "test_one.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout
    assert ("not listed" in done.stdout) == bool(status)
