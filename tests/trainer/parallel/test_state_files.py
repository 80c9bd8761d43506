"""What a checkpoint's files hold is hashed as it is written, and never run when it is read."""

import ast
import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch

from tests.support.policies import model_folder
from tests.support.runs import environment
from trainer.parallel.state_files import FileSeal, read_state, seal_file, write_state

ROOT = Path(__file__).resolve().parents[3]
UNPICKLE = {"torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "numpy.load",
            "np.load", "joblib.load", "dill.load", "dill.loads"}  # fmt: skip


class Planted:
    """Touches a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_state_is_read_back_and_sealed_with_the_hash_of_its_file(tmp_path):
    state = {"small": torch.arange(3), "large": torch.randn(2**19), "step": 7, "lr": [0.1, None]}
    seal = write_state(state, tmp_path / "state.pt")
    content = (tmp_path / "state.pt").read_bytes()
    assert seal == FileSeal(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert seal == seal_file(tmp_path / "state.pt")
    read = read_state(tmp_path / "state.pt")
    assert torch.equal(read["large"], state["large"]) and torch.equal(read["small"], state["small"])
    assert (read["step"], read["lr"]) == (7, [0.1, None])


def test_code_in_a_state_file_is_refused_and_not_run(tmp_path):
    torch.save({"weights": Planted(tmp_path / "ran")}, tmp_path / "state.pt")
    with pytest.raises(UnpicklingError):
        read_state(tmp_path / "state.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("elements", [8, 2**19])
def test_a_full_disk_is_the_systems_error(elements):
    with pytest.raises(OSError) as full:
        write_state({"weights": torch.zeros(elements)}, Path("/dev/full"))
    assert full.value.errno == errno.ENOSPC


SAVE_AND_LOAD = """
import sys
from pathlib import Path
from tests.support.policies import policy
from trainer.parallel.state_files import seal_file

ours = policy(Path(sys.argv[1]), zero=int(sys.argv[2]))
folder = Path(sys.argv[3])
if not folder.exists():
    seals = ours.save(folder)
    assert seals == {file: seal_file(file) for file in folder.rglob("*.pt")}
ours.load(folder)
"""


@pytest.mark.slow
@pytest.mark.parametrize("zero", [1, 3])
def test_code_planted_in_a_zero_checkpoint_is_not_run(tmp_path, zero):
    model, folder = model_folder(tmp_path / "model"), tmp_path / "state"

    def child():
        command = [sys.executable, "-c", SAVE_AND_LOAD, str(model), str(zero), str(folder)]
        return subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )

    done = child()
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted(folder.rglob("*.pt"))
    assert len(files) == 3  # model, optimizer, random state
    assert [file for file in folder.rglob("*") if file.suffix == ".py"] == []
    for file in files:
        content = file.read_bytes()
        whole = torch.load(file, weights_only=True)
        torch.save({**whole, "extra": Planted(tmp_path / "ran")}, file)
        refused = child()
        assert refused.returncode == 1 and "UnpicklingError" in refused.stderr, file.name
        assert not (tmp_path / "ran").exists(), file.name
        file.write_bytes(content)


def test_nothing_else_that_ships_unpickles():
    found = {
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for layer in ("recipes", "rewards", "rollout", "eval", "trainer", "tools")
        for path in (ROOT / layer).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in UNPICKLE
    }
    assert found == {
        "trainer/parallel/state_files.py: torch.load",
        "rewards/sandbox/grading/row_tests.py: pickle.Unpickler",  # of strings alone
    } | {name for name in found if name.endswith(": np.load") and _refuses_objects(name)}


def _refuses_objects(name):
    """numpy reads no objects unless it is told to."""
    return "allow_pickle" not in (ROOT / name.partition(":")[0]).read_text(encoding="utf-8")
