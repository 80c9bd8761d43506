"""TensorBoard event files in the run's folder."""

from trainer.loggers import Logger, LoggerContext, logger
from trainer.loggers.tracked import Tracked, recipe_text, require


@logger.register()
def tensorboard(context: LoggerContext) -> Logger:
    """Writes event files to `<run>/tensorboard`; look at them with `tensorboard --logdir <run>`.

    A resumed run hides the events at or after its first step (TensorBoard's purge step).
    """
    require("tensorboard", "tensorboard")
    from accelerate.tracking import TensorBoardTracker

    tracker = TensorBoardTracker(
        "tensorboard", logging_dir=context.folder, purge_step=context.first_step or None
    )
    logged = Tracked(tracker)
    if context.first_step == 0:
        tracker.log({"recipe": f"```yaml\n{recipe_text(context)}```"}, step=0)
    return logged
