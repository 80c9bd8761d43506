"""What TRL's trainers are told alike, for a cold start and for a reward model."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def trl_settings(
    output: Path, *, steps: int, batch_size: int, max_grad_norm: float, seed: int
) -> Iterator[dict[str, object]]:
    """Keyword arguments of TRL's configurations: nothing is saved or reported by itself.

    The folder that a trainer insists on is gone afterwards, unless something was written there.
    """
    folder = output / "trainer"
    yield {
        "output_dir": str(folder),
        "max_steps": steps,
        "per_device_train_batch_size": batch_size,
        "max_grad_norm": max_grad_norm,
        "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": max(steps // 10, 1),
        "save_strategy": "no",
        "report_to": [],
        "seed": seed,
        "dataloader_pin_memory": False,
        "disable_tqdm": not sys.stderr.isatty(),
    }
    with contextlib.suppress(OSError):
        folder.rmdir()
