"""What a replay found: a table, a JSON file with all numbers, and a picture."""

import dataclasses
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recipes.slots.spec import JSON
from trainer.commands.replay_step import Compared, Side

Axes = Any  # matplotlib ships no types that mypy reads here
RECORDED, VARIANT, GREY = "#6b6b6b", "#1f5fa8", "#8a8a8a"
CLIPS = ("loss/clip_low_frac", "loss/clip_high_frac")


def report(
    found: Sequence[Compared], overrides: Sequence[str], folder: Path, console: Console
) -> None:
    """Print the table, write `replay.json`, and `replay.png` where matplotlib is installed."""
    console.print(table(found, overrides))
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "replay.json"
    record.write_text(json.dumps(plain(found, overrides), indent=1, allow_nan=False))
    console.print(f"numbers: {record}")
    if importlib.util.find_spec("matplotlib") is None:
        console.print("no picture: matplotlib is not installed (pip install matplotlib)")
        return
    picture(found, overrides, folder / "replay.png")
    console.print(f"picture: {folder / 'replay.png'}")


def plain(found: Sequence[Compared], overrides: Sequence[str]) -> dict[str, JSON]:
    """Every number; null where there is none."""
    steps = []
    for step in found:
        total = step.total
        steps.append(
            {
                "step": step.step,
                "cosine": _number(total.cosine),
                "norm_ratio": _number(total.ratio),
                "updates": [
                    {**dataclasses.asdict(update), "cosine": _number(update.cosine)}
                    for update in step.updates
                ],
                "entropy_before": _number(step.entropy_before),
                "recorded": _side(step.recorded),
                "variant": _side(step.variant),
            }
        )
    return {"variant": list(overrides), "steps": steps}


def _side(side: Side) -> dict[str, JSON]:
    return {
        "entropy_after": _number(side.entropy),
        "ledger": dict(side.ledger),
        "metrics": {name: _number(value) for name, value in side.metrics.items()},
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def table(found: Sequence[Compared], overrides: Sequence[str]) -> Table:
    """Two lines a step: as it was recorded, and under the variant."""
    title = Text(f"replay: {' '.join(overrides) or 'unchanged'}", style="bold")
    shown = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    headings = ("step", "", "norm", "ratio", "cosine", "clip low", "high", "entropy", "samples")
    for heading in headings:
        shown.add_column(heading)
    for step in found:
        total, before = step.total, step.entropy_before
        shown.add_row(
            str(step.step),
            "recorded",
            f"{total.recorded:.4g}",
            "",
            "",
            *_line(step.recorded, before),
        )
        shown.add_row(
            "",
            "variant",
            f"{total.variant:.4g}",
            f"{total.ratio:.3f}",
            f"{total.cosine:.4f}",
            *_line(step.variant, before),
            end_section=True,
        )
    return shown


def _line(side: Side, before: float) -> list[str]:
    """Shares clipped, change of entropy, ledger."""
    clips = [f"{side.metrics[name]:.4f}" if name in side.metrics else "-" for name in CLIPS]
    buckets = sorted(side.ledger, key=lambda name: (name != "trained", name))
    samples = ", ".join(f"{side.ledger[name]} {name}" for name in buckets)
    return [*clips, f"{side.entropy - before:+.4f}", samples]


def picture(found: Sequence[Compared], overrides: Sequence[str], path: Path) -> None:
    """Cosine, gradient norm, clipped tokens and change of entropy over the recorded steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no global state
    figure.suptitle(f"replay: {' '.join(overrides) or 'unchanged'}", fontweight="bold")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    steps = [step.step for step in found]
    _frame(first, "Cosine between the two gradients", "cosine")
    cosines = [step.total.cosine for step in found]
    first.plot(steps, cosines, "o-", color=VARIANT)
    first.set_ylim(min([c for c in cosines if math.isfinite(c)], default=0.0) - 0.02, 1.02)
    first.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    _frame(second, "Norm of the gradient, before clipping", "norm")
    _pair(second, steps, [[s.total.recorded for s in found], [s.total.variant for s in found]])
    second.set_ylim(bottom=0)
    _frame(third, "Trained tokens that were clipped", "share of tokens")
    sides = [[step.recorded for step in found], [step.variant for step in found]]
    _pair(third, steps, [[_clipped(side) for side in each] for each in sides])
    third.set_ylim(bottom=0)
    _frame(fourth, "Change of entropy in one update", "nats per token")
    before = [step.entropy_before for step in found]
    changes = [[s.entropy - b for s, b in zip(each, before, strict=True)] for each in sides]
    _pair(fourth, steps, changes)
    fourth.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _clipped(side: Side) -> float:
    """Both directions together; nan for a loss that does not clip."""
    present = [side.metrics[name] for name in CLIPS if name in side.metrics]
    return sum(present) if present else math.nan


def _pair(axes: Axes, steps: Sequence[int], values: Sequence[Sequence[float]]) -> None:
    looks = ((RECORDED, "recorded", "s--"), (VARIANT, "variant", "o-"))
    for (color, label, style), series in zip(looks, values, strict=True):
        axes.plot(steps, series, style, color=color, label=label, markersize=5)
    axes.legend(frameon=False, fontsize=9)


def _frame(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_ylabel(unit, fontsize=9, color=GREY)
    axes.set_xlabel("recorded step", fontsize=9, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
