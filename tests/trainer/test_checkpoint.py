import errno
import json

import pytest

from recipes.errors import RecipeError
from trainer.checkpoint import Checkpoints, load_host


def checkpoints(folder, keep=2):
    return Checkpoints(folder=folder, keep=keep, is_main=True, barrier=lambda: None)


def write_policy(folder):
    (folder / "weights").write_text("w")


def test_what_is_saved_is_read_back(tmp_path):
    saved = checkpoints(tmp_path).save(3, {"progress": {"step": 3}}, write_policy)
    assert load_host(saved) == {"progress": {"step": 3}}
    assert (saved / "policy" / "weights").read_text() == "w"
    assert json.loads((saved / "manifest.json").read_text())["step"] == 3


def test_the_newest_are_kept(tmp_path):
    store = checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        store.save(step, {}, write_policy)
    assert [p.name for p in sorted(tmp_path.glob("step_*"))] == ["step_000002", "step_000003"]
    assert store.latest() == tmp_path / "step_000003"


def test_a_save_that_was_killed_is_no_checkpoint_and_is_cleaned_up(tmp_path):
    leftover = tmp_path / ".saving-step_000001" / "policy"
    leftover.mkdir(parents=True)
    store = checkpoints(tmp_path)
    assert store.latest() is None
    store.save(2, {}, write_policy)
    assert not leftover.exists()


def test_a_folder_without_a_manifest_is_not_complete(tmp_path):
    (tmp_path / "step_000009").mkdir()
    assert checkpoints(tmp_path).latest() is None


def test_a_full_disk_says_so_and_keeps_the_older_checkpoint(tmp_path):
    store = checkpoints(tmp_path)
    store.save(1, {}, write_policy)

    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RecipeError, match=r"no space left .* step 2.*--resume"):
        store.save(2, {}, full)
    assert store.latest() == tmp_path / "step_000001"
    assert not list(tmp_path.glob(".saving-*"))


def test_saving_the_same_step_twice_writes_once(tmp_path):
    store = checkpoints(tmp_path)
    store.save(1, {"a": 1}, write_policy)
    store.save(1, {"a": 2}, write_policy)
    assert load_host(tmp_path / "step_000001") == {"a": 1}
