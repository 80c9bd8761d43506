from pathlib import Path

import pytest

from recipes.errors import RecipeError
from rollout.serialize import group_to_dict
from tests.support.builders import group
from trainer.monitor.checkpoint import Checkpoints
from trainer.monitor.record import Recorder, named_checkpoints, read_recording, recorded
from trainer.recipe.check import load_recipe
from trainer.recipe.monitoring import RecordSpec

GROUPS = [group([1, 0], group_id=0), group([0.5, 0.25, 1], lengths=[2, 0, 4], group_id=7)]


def record(run: Path, *steps: int, every: int = 2, first_step: int = 0) -> None:
    recorder = Recorder(run, RecordSpec(every=every), first_step=first_step)
    for step in steps:
        recorder(step, GROUPS)


def names(run: Path) -> list[str]:
    return [path.name for path in recorded(run)]


def save(run: Path, step: int, *, keep: int = 5) -> Path:
    checkpoints = Checkpoints(
        folder=run / "checkpoints",
        keep=keep,
        is_main=True,
        gather=lambda value: [value],
        spared=lambda: named_checkpoints(run),
    )
    return checkpoints.save(step, {}, lambda folder: {})


def test_a_step_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, 2)
    record(tmp_path, 2)
    found = read_recording(recorded(tmp_path)[0])
    assert (found.step, found.checkpoint) == (2, "step_000002")
    assert [group_to_dict(g) for g in found.groups] == [group_to_dict(g) for g in GROUPS]


def test_only_steps_that_are_due_are_kept(tmp_path: Path) -> None:
    record(tmp_path, 0, 1, 2, 3, 4, every=2)
    assert names(tmp_path) == ["step_000000.json", "step_000002.json", "step_000004.json"]


def test_nothing_is_recorded_by_default(tmp_path: Path) -> None:
    Recorder(tmp_path, RecordSpec(), first_step=0)(0, GROUPS)
    assert list(tmp_path.iterdir()) == []


def test_a_resume_forgets_the_steps_that_will_run_again(tmp_path: Path) -> None:
    record(tmp_path, 0, 2, 4)
    (tmp_path / "rollouts" / "step_000006.json.part").write_text('{"form')  # killed here
    Recorder(tmp_path, RecordSpec(every=2), first_step=2)
    assert [path.name for path in (tmp_path / "rollouts").iterdir()] == ["step_000000.json"]


def test_the_first_step_begins_with_the_recipes_model(tmp_path: Path) -> None:
    record(tmp_path, 0)
    assert read_recording(recorded(tmp_path)[0]).checkpoint == ""


def test_a_checkpoint_that_a_recording_names_outlives_keep(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, RecordSpec(every=2), first_step=0)
    for step in (2, 3, 4, 5):
        save(tmp_path, step, keep=1)
        recorder(step, GROUPS)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_000002", "step_000004", "step_000005"]


def test_a_checkpoint_that_is_gone_is_named(tmp_path: Path) -> None:
    record(tmp_path, 4)
    with pytest.raises(RecipeError, match="checkpoint step_000004 is gone"):
        read_recording(recorded(tmp_path)[0])


@pytest.mark.parametrize(("every", "saved", "fine"), [(4, 2, True), (3, 2, False), (3, 0, False)])
def test_recorded_steps_need_checkpoints(every: int, saved: int, fine: bool) -> None:
    settings = [f"record.every={every}", f"checkpoint.every={saved}"]
    if fine:
        assert load_recipe("smoke/grpo", settings)[0].record.every == every
    else:
        with pytest.raises(RecipeError, match=r"record\.every.*set checkpoint\.every: 3"):
            load_recipe("smoke/grpo", settings)
