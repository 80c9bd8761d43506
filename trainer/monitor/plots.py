"""A run in one picture: reward, entropy and length over the steps, and the score before and after.

picture(Path("runs/sums"))                     -> runs/sums/picture.png, from metrics.jsonl
picture(Path("runs/sums"), before=a, after=b)  -> the bars from two reports of `temper eval`
"""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.intervals import Estimate
from eval.report import Report
from recipes.errors import RecipeError
from trainer.loggers.jsonl import FILE, read_metrics

Axes = Any  # matplotlib ships no types that mypy reads here
INK, BAND, GREY, BEFORE = "#1f5fa8", "#a9c8ea", "#6b6b6b", "#b8b8b8"
METRICS = ("pass@1", "pass@16", "maj@16")  # shown as bars where both ends have them


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One score before and after."""

    label: str  # "sums pass@1"
    before: Estimate
    after: Estimate


def picture(
    folder: Path,
    *,
    before: Report | None = None,
    after: Report | None = None,
    path: Path | None = None,
) -> Path:
    """Write a PNG of the run in `folder`; returns its path.

    Without reports, the bars are the first and the last evaluation that the run itself logged; a
    run without two evaluations has no bars. Raises RecipeError when there is nothing to draw or
    matplotlib is not installed.
    """
    source, target = folder / FILE, path or folder / "picture.png"
    if importlib.util.find_spec("matplotlib") is None:
        raise RecipeError.of(
            "a picture needs the package 'matplotlib', which is not installed",
            fix="run: pip install matplotlib",
        )
    if not source.exists():
        raise RecipeError.of(
            "no metrics to draw", where=str(source), fix="give the folder of a run that has trained"
        )
    lines = list(read_metrics(source))
    if before is not None and after is not None:
        bars = [
            Bars(label=f"{before.suite} {n}", before=before.metrics[n], after=after.metrics[n])
            for n in METRICS
            if n in before.metrics and n in after.metrics
        ]
    else:
        bars = bars_of_metrics(lines)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no global state
    figure.suptitle(folder.name, fontsize=13, fontweight="bold")
    if bars:
        panels = figure.subplots(2, 2).ravel()
        _score_panel(panels[3], bars)
    else:
        panels = figure.subplots(1, 3)
        figure.set_size_inches(13, 3.8)
    _training_panels(panels[:3], lines)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)
    return target


def _training_panels(panels: Sequence[Axes], lines: Sequence[tuple[int, dict[str, float]]]) -> None:
    """Reward, entropy and length over the steps."""
    reward, entropy, length = panels
    names = ("reward/mean", "reward/interval_low", "reward/interval_high")
    steps, (mean, low, high) = _series(lines, names)
    frame(reward, "Reward in training", "mean reward, 95% band over groups", steps)
    reward.fill_between(steps, low, high, color=BAND, linewidth=0)
    reward.plot(steps, mean, color=INK, linewidth=1.8, label="groups trained")
    drawn_at, (drawn,) = _series(lines, ("rollout/reward",))
    if drawn_at:  # what a filter takes away would hide how far the policy has come
        reward.plot(drawn_at, drawn, color=GREY, linewidth=1.0, label="all groups drawn")
        reward.legend(frameon=False, fontsize=9)
    steps, (values,) = _series(lines, ("policy/entropy",))
    frame(entropy, "Entropy of the policy", "nats per token", steps)
    entropy.plot(steps, values, color=INK, linewidth=1.8)
    _from_zero(entropy, values)
    steps, (mean, longest) = _series(lines, ("rollout/length_mean", "rollout/length_max"))
    frame(length, "Length of the answers", "tokens", steps)
    length.plot(steps, longest, color=GREY, linewidth=1.0, label="longest")
    length.plot(steps, mean, color=INK, linewidth=1.8, label="mean")
    _from_zero(length, longest)
    if steps:
        length.legend(frameon=False, fontsize=9)


def _score_panel(axes: Axes, bars: Sequence[Bars]) -> None:
    frame(axes, "Held-out score, before and after", "with 95% interval over problems", [0])
    for i, bar in enumerate(bars):
        for side, (color, estimate) in enumerate(((BEFORE, bar.before), (INK, bar.after))):
            place = i + 0.4 * side - 0.2
            span = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            axes.bar(place, estimate.value, width=0.36, color=color)
            axes.errorbar(place, estimate.value, yerr=span, color="black", capsize=4, linewidth=1)
            text = f"{'after' if side else 'before'}\n{estimate.value:.2f}"
            axes.annotate(
                text, (place, estimate.high), (0, 4), textcoords="offset points", ha="center",
                va="bottom", fontsize=9,
            )  # fmt: skip
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars])
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.set_xlabel("")
    axes.set_ylim(0, 1.25)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])


def frame(axes: Axes, title: str, unit: str, steps: Sequence[int]) -> None:
    """Title, grid and labels of a panel; one without steps says that nothing was logged."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_ylabel(unit, fontsize=9, color=GREY)
    axes.set_xlabel("training step", fontsize=9, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if not steps:
        axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])


def _from_zero(axes: Axes, values: Sequence[float]) -> None:
    """An axis from 0, with air above the largest value."""
    axes.set_ylim(0, 1.1 * max(values, default=0.0) or 1.0)


def _series(
    lines: Sequence[tuple[int, dict[str, float]]], names: Sequence[str]
) -> tuple[list[int], list[list[float]]]:
    """Steps that logged a finite number under all of the names, and the values of each name."""
    rows = [
        (step, [metrics[name] for name in names])
        for step, metrics in lines
        if all(math.isfinite(metrics.get(name, math.nan)) for name in names)
    ]
    steps = [step for step, _ in rows]
    return steps, [[values[i] for _, values in rows] for i in range(len(names))]


def bars_of_metrics(lines: Sequence[tuple[int, dict[str, float]]]) -> list[Bars]:
    """First and last logged evaluation of each suite, with their intervals."""
    seen: dict[str, list[Estimate]] = {}
    for _, metrics in lines:
        for name, value in metrics.items():
            if name.startswith("eval/") and name.endswith("/pass@1"):
                low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
                estimate = Estimate(value=value, low=low, high=high, problems=0)
                seen.setdefault(name, []).append(estimate)
    return [
        Bars(label=name.removeprefix("eval/").replace("/", " "), before=found[0], after=found[-1])
        for name, found in seen.items()
        if len(found) > 1
    ]
