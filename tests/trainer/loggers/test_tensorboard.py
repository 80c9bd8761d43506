"""TensorBoard files hold what was logged, and a resumed run hides what it will log again."""

import pytest

from trainer.loggers import LoggerContext
from trainer.loggers.tensorboard import tensorboard


def log(folder, steps, *, first_step=0):
    one = tensorboard(
        LoggerContext(
            folder=folder,
            run_name="r",
            recipe={"steps": 4},
            total_steps=4,
            first_step=first_step,
        )
    )
    for step in steps:
        one.log(step, {"reward/mean": step + first_step / 10})
    one.close()


def test_scalars_and_recipe_read_back_with_resumed_steps_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log(tmp_path, [1, 2, 3])
    log(tmp_path, [3, 4], first_step=3)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(e.step, round(e.value, 3)) for e in events.Scalars("reward/mean")]
    assert found == [(1, 1.0), (2, 2.0), (3, 3.3), (4, 4.3)]
    (recipe,) = events.Tensors("recipe/text_summary")
    assert b"steps: 4" in recipe.tensor_proto.string_val[0]
