import errno
import json
import os
import shutil

import pytest
import torch

from recipes.errors import RecipeError
from trainer.monitor.checkpoint import (
    Checkpoints,
    complete,
    fault_of,
    latest,
    load_host,
    newest_whole,
    numbered,
    set_aside,
    verify,
)
from trainer.parallel.state_files import seal_file, write_state


def alone(value):
    """What one rank gathers."""
    return [value]


def checkpoints(folder, keep=2):
    return Checkpoints(folder=folder, keep=keep, is_main=True, gather=alone)


def write_policy(folder):
    (folder / "zero").mkdir(exist_ok=True)
    (folder / "layout.json").write_text("{}")  # sealed by rank 0
    path = folder / "zero" / "weights.pt"
    return {path: write_state({"w": torch.arange(8.0)}, path)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- saving --------------------------------------------------------------------------------------


def test_what_is_saved_is_read_back(tmp_path):
    saved = checkpoints(tmp_path).save(3, {"progress": {"step": 3}}, write_policy)
    assert load_host(saved) == {"progress": {"step": 3}}
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["step"] == 3
    for name in ("host.pt", "policy/layout.json", "policy/zero/weights.pt"):
        seal = seal_file(saved / name)
        assert manifest["files"][name] == {"size": seal.size, "sha256": seal.sha256}
    assert len(manifest["files"]) == 3


def test_the_newest_are_kept_by_their_number(tmp_path):
    store = checkpoints(tmp_path, keep=2)
    for step in (999998, 999999, 1000000):
        store.save(step, {}, write_policy)
    assert names(tmp_path) == ["step_1000000", "step_999999"]
    assert store.latest() == tmp_path / "step_1000000"


def test_only_whole_checkpoints_of_the_run_count_as_kept(tmp_path):
    store = checkpoints(tmp_path, keep=2)
    for step in (1, 2):
        store.save(step, {}, write_policy)
    shutil.copytree(tmp_path / "step_000002", tmp_path / "step_backup")
    (tmp_path / "step_000009").mkdir()
    store.save(3, {}, write_policy)
    assert names(tmp_path) == ["step_000002", "step_000003", "step_000009", "step_backup"]
    assert store.latest() == tmp_path / "step_000003"


def test_a_checkpoint_that_somebody_needs_is_spared(tmp_path):
    store = Checkpoints(
        folder=tmp_path, keep=1, is_main=True, gather=alone, spared=lambda: {"step_000001"}
    )
    for step in (1, 2, 3):
        store.save(step, {}, write_policy)
    assert names(tmp_path) == ["step_000001", "step_000003"]


def test_one_whose_removal_was_cut_short_has_lost_its_name(tmp_path, monkeypatch):
    store = checkpoints(tmp_path, keep=1)
    store.save(1, {}, write_policy)

    def cut_short(folder):
        (folder / "host.pt").unlink()
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", cut_short)
        store.save(2, {}, write_policy)
    assert [path.name for path in numbered(tmp_path)] == ["step_000002"]
    store.save(3, {}, write_policy)
    assert names(tmp_path) == ["step_000003"]


def test_a_save_that_was_killed_is_no_checkpoint_and_is_cleaned_up(tmp_path):
    leftover = tmp_path / ".saving-step_000001" / "policy"
    leftover.mkdir(parents=True)
    store = checkpoints(tmp_path)
    assert store.latest() is None
    store.save(2, {}, write_policy)
    assert not leftover.exists()


def test_everything_is_on_the_disk_before_the_name_appears(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle):
        place = os.readlink(f"/proc/self/fd/{handle}")
        events.append(os.path.relpath(place, tmp_path))
        fsync(handle)

    def noted_replace(source, target):
        events.append("named")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    checkpoints(tmp_path).save(1, {}, write_policy)
    before, after = events[: events.index("named")], events[events.index("named") + 1 :]
    staging = ".saving-step_000001"
    files = ("host.pt", "manifest.json", "policy/layout.json", "policy/zero/weights.pt")
    folders = ("policy", "policy/zero")
    assert sorted(before) == sorted([staging, *(f"{staging}/{n}" for n in (*files, *folders))])
    assert before.index(f"{staging}/manifest.json") > before.index(f"{staging}/host.pt")
    assert after == ["."]


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
    heard = []

    def another_failed(value):
        heard.append(value)
        return [value, len(heard) == 3]  # when the policy is written

    store = Checkpoints(folder=tmp_path, keep=2, is_main=True, gather=another_failed)
    with pytest.raises(RecipeError, match=r"step 2 was given up: another rank"):
        store.save(2, {}, write_policy)
    assert heard == [False, False, False]
    assert store.latest() == tmp_path / "step_000001"
    assert not list(tmp_path.glob(".saving-*"))


def test_the_manifest_has_the_files_of_every_rank(tmp_path):
    theirs = tmp_path / ".saving-step_000001" / "policy" / "random_1.pt"

    def with_another(value):
        if not isinstance(value, dict):
            return [value, value]
        return [value, {theirs: write_state({"cpu": torch.arange(3)}, theirs)}]

    store = Checkpoints(folder=tmp_path, keep=2, is_main=True, gather=with_another)
    saved = store.save(1, {}, write_policy)
    assert "policy/random_1.pt" in json.loads((saved / "manifest.json").read_text())["files"]
    assert fault_of(saved) == ""


def test_a_rank_that_cannot_write_announces_it(tmp_path):
    votes = []

    def vote(failed):
        votes.append(failed)
        return [failed]

    def broken(folder):
        raise RuntimeError("unexpected pos 64 vs 0")  # torch.save, on a file that cannot grow

    other = Checkpoints(folder=tmp_path, keep=2, is_main=False, gather=vote)
    with pytest.raises(RecipeError, match=r"step 2 cannot be written .*unexpected pos 64"):
        other.save(2, {}, broken)
    assert votes == [False, False, True]


def test_what_would_not_fit_beside_the_last_one_is_not_begun(tmp_path):
    store = checkpoints(tmp_path)
    store.save(1, {}, write_policy)
    free = shutil.disk_usage(tmp_path).free
    with (tmp_path / "step_000001" / "policy" / "zero" / "weights.pt").open("wb") as weights:
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


def test_a_folder_in_the_way_without_a_manifest_does_not_keep_a_step_from_being_saved(tmp_path):
    (tmp_path / "step_000002").mkdir()
    (tmp_path / "step_000002" / "host.pt").write_text("of an earlier run")
    saved = checkpoints(tmp_path).save(2, {"a": 2}, write_policy)
    assert fault_of(saved) == "" and load_host(saved) == {"a": 2}
    assert (tmp_path / "damaged-1-step_000002" / "host.pt").read_text() == "of an earlier run"


# -- resuming ------------------------------------------------------------------------------------


def test_a_folder_without_a_manifest_is_not_complete(tmp_path):
    (tmp_path / "step_000009").mkdir()
    assert checkpoints(tmp_path).latest() is None


def test_folders_with_other_names_are_not_checkpoints(tmp_path):
    saved = checkpoints(tmp_path).save(3, {}, write_policy)
    for name in ("step_backup", "step_000004.old", "step_0000005", "my_step_000006"):
        shutil.copytree(saved, tmp_path / name)
    assert numbered(tmp_path) == complete(tmp_path) == [saved]
    assert latest(tmp_path) == saved
    assert newest_whole(tmp_path) == (saved, {})


def change(path, how):
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damage = {
        "cut": content[:-1],
        "emptied": b"",
        "zeroed": bytes(len(content)),
        "flipped": flipped,
        "other": b"[]",
    }
    path.unlink()
    if how != "removed":
        path.write_bytes(damage[how])


@pytest.mark.parametrize("how", ["cut", "emptied", "zeroed", "flipped", "other", "removed"])
@pytest.mark.parametrize(
    "file", ["manifest.json", "host.pt", "policy/layout.json", "policy/zero/weights.pt"]
)
def test_any_change_of_any_file_is_found_before_it_is_read(tmp_path, file, how):
    store = checkpoints(tmp_path)
    older, saved = (store.save(step, {"step": step}, write_policy) for step in (1, 2))
    assert (fault_of(saved), newest_whole(tmp_path)) == ("", (saved, {}))
    change(saved / file, how)
    with pytest.raises(RecipeError, match=r"step_000002 is damaged: "):
        verify(saved)
    assert file in fault_of(saved)
    whole, damaged = newest_whole(tmp_path)
    assert whole == older and list(damaged) == [saved]


def test_a_byte_flipped_anywhere_in_the_manifest_is_found(tmp_path):
    saved = checkpoints(tmp_path).save(1, {}, write_policy)
    manifest = saved / "manifest.json"
    content = manifest.read_bytes()
    for place in range(0, len(content), 7):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        manifest.write_bytes(changed)
        try:
            assert fault_of(saved) or json.loads(changed) == json.loads(content)
        except RecipeError as error:  # the seal's own key is gone, and the format's number
            assert "format" in str(error)


def test_where_no_checkpoint_is_whole_the_run_does_not_begin_again(tmp_path):
    store = checkpoints(tmp_path)
    for step in (1, 2):
        change(store.save(step, {}, write_policy) / "host.pt", "cut")
    with pytest.raises(RecipeError, match=r"none .* is whole \(step_000002: host\.pt .*000001"):
        newest_whole(tmp_path)
    assert newest_whole(tmp_path / "elsewhere") == (None, {})


def test_a_damaged_checkpoint_is_kept_under_another_name(tmp_path):
    for number in (1, 2):
        saved = checkpoints(tmp_path).save(7, {}, write_policy)
        assert set_aside(saved) == tmp_path / f"damaged-{number}-step_000007"
    assert names(tmp_path) == ["damaged-1-step_000007", "damaged-2-step_000007"]
    assert newest_whole(tmp_path) == (None, {})


def test_another_format_is_not_read(tmp_path):
    saved = checkpoints(tmp_path).save(1, {}, write_policy)
    (saved / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(RecipeError, match=r"has checkpoint format 1, this version reads 4"):
        fault_of(saved)
    with pytest.raises(RecipeError, match="format 1"):
        newest_whole(tmp_path)
