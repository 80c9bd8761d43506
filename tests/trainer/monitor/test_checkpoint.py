import errno
import json
import shutil

import pytest

from recipes.errors import RecipeError
from trainer.monitor.checkpoint import Checkpoints, load_host


def checkpoints(folder, keep=2):
    return Checkpoints(folder=folder, keep=keep, is_main=True, any_rank=bool)


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


def test_a_rank_that_writes_hears_that_another_could_not(tmp_path):
    checkpoints(tmp_path).save(1, {}, write_policy)
    votes = []

    def another_failed(failed):
        votes.append(failed)
        return len(votes) == 2  # when the policy is written

    store = Checkpoints(folder=tmp_path, keep=2, is_main=True, any_rank=another_failed)
    with pytest.raises(RecipeError, match=r"step 2 was given up: another rank"):
        store.save(2, {}, write_policy)
    assert votes == [False, False]
    assert store.latest() == tmp_path / "step_000001"
    assert not list(tmp_path.glob(".saving-*"))


def test_a_rank_that_cannot_write_announces_it(tmp_path):
    votes = []

    def vote(failed):
        votes.append(failed)
        return failed

    def broken(folder):
        raise RuntimeError("unexpected pos 64 vs 0")  # torch.save, on a file that cannot grow

    other = Checkpoints(folder=tmp_path, keep=2, is_main=False, any_rank=vote)
    with pytest.raises(RecipeError, match=r"step 2 cannot be written .*unexpected pos 64"):
        other.save(2, {}, broken)
    assert votes == [False, True]


def test_what_would_not_fit_beside_the_last_one_is_not_begun(tmp_path):
    store = checkpoints(tmp_path)
    store.save(1, {}, write_policy)
    free = shutil.disk_usage(tmp_path).free
    with (tmp_path / "step_000001" / "policy" / "weights").open("wb") as weights:
        weights.truncate(2 * free)  # takes no space, and would as a copy
    written = []
    with pytest.raises(RecipeError, match="no space left"):
        store.save(2, {}, written.append)
    assert written == []
    assert store.latest() == tmp_path / "step_000001"


def test_saving_the_same_step_twice_writes_once(tmp_path):
    store = checkpoints(tmp_path)
    store.save(1, {"a": 1}, write_policy)
    store.save(1, {"a": 2}, write_policy)
    assert load_host(tmp_path / "step_000001") == {"a": 1}


@pytest.mark.parametrize("file", ["manifest.json", "host.pt"])
@pytest.mark.parametrize("content", ["", "x", "[]"])
def test_a_damaged_checkpoint_is_named(tmp_path, file, content):
    saved = checkpoints(tmp_path).save(1, {}, write_policy)
    (saved / file).write_text(content)
    with pytest.raises(RecipeError, match=r"step_000001 is damaged .*--resume"):
        load_host(saved)


def test_another_format_is_not_read(tmp_path):
    saved = checkpoints(tmp_path).save(1, {}, write_policy)
    (saved / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(RecipeError, match=r"has checkpoint format 1, this version reads 2"):
        load_host(saved)
