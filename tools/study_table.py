"""What the runs of a study say together: a line an arm, differences seed by seed, one picture."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from textwrap import fill

from rich import box
from rich.table import Table

from eval.intervals import Estimate, student
from tools.study_runs import Done, Outcome
from trainer.monitor.plots import BEFORE, GREY, Axes, frame

Runs = Mapping[str, Mapping[int, Outcome]]  # arm -> seed -> what its run says
COLORS = ("#1f5fa8", "#c8553d", "#3a8f4d", "#8a5aa8", "#c79a1e", "#2a9d9d", "#7a5230", "#555555")
NAME_WIDTH = 26
CURVES = len(COLORS)  # more arms than this are told apart by nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One arm over its seeds; intervals are Student's, over seeds."""

    arm: str
    seeds: int
    start: float  # held-out score before training, mean over seeds
    score: Estimate  # at the end
    difference: Estimate | None  # end scores against the first arm's, on the seeds of both
    entropy: Estimate
    reward_before: float
    reward_after: float
    tokens: float  # generated up to where it was read, mean
    steps: float
    non_finite: int  # over all runs
    stopped: int  # runs that ended themselves
    cpu_s: float  # a run, mean


def summarise(runs: Runs, ledger: Mapping[tuple[str, int], Done]) -> list[Line]:
    """A line for each arm, in order; the first is the one that the others are held against."""
    first = next(iter(runs.values()))
    return [_line(arm, outcomes, first, ledger) for arm, outcomes in runs.items()]


def _line(
    arm: str,
    outcomes: Mapping[int, Outcome],
    first: Mapping[int, Outcome],
    ledger: Mapping[tuple[str, int], Done],
) -> Line:
    def mean(of: Callable[[Outcome], float]) -> float:
        return fmean(of(outcome) for outcome in outcomes.values())

    both = sorted(set(outcomes) & set(first))
    apart = [outcomes[seed].end.score - first[seed].end.score for seed in both]
    done = [ledger[arm, seed] for seed in outcomes]
    return Line(
        arm=arm,
        seeds=len(outcomes),
        start=mean(lambda o: o.start.score),
        score=student([o.end.score for o in outcomes.values()]),
        difference=None if outcomes is first else student(apart),
        entropy=student([o.entropy for o in outcomes.values()]),
        reward_before=mean(lambda o: o.reward_before),
        reward_after=mean(lambda o: o.reward_after),
        tokens=mean(lambda o: o.end.tokens),
        steps=mean(lambda o: o.end.step),
        non_finite=sum(o.non_finite for o in outcomes.values()),
        stopped=sum(bool(d.stopped) for d in done),
        cpu_s=fmean(d.cpu_s for d in done),
    )


def table(lines: Sequence[Line], score: str, title: str) -> Table:
    """Markdown, so that it can be pasted into an account of the experiment."""
    headings = {
        "arm": "left",
        "seeds": "right",
        "before": "right",
        f"{score.removeprefix('eval/')} [95%]": "left",
        "against the first [95%]": "left",
        "entropy, nats [95%]": "left",
        "training reward": "left",
        "tokens": "right",
        "steps": "right",
        "not finite": "right",
        "stopped": "right",
        "CPU s a run": "right",
    }
    shown = Table(box=box.MARKDOWN, title=title, title_justify="left")
    for heading, side in headings.items():
        shown.add_column(heading, justify="right" if side == "right" else "left")
    for line in lines:
        shown.add_row(
            line.arm,
            str(line.seeds),
            f"{line.start:.3f}",
            words(line.score),
            words(line.difference, sign="+") if line.difference else "",
            words(line.entropy),
            f"{line.reward_before:.3f} to {line.reward_after:.3f}",
            f"{line.tokens:.0f}",
            f"{line.steps:.1f}",
            str(line.non_finite),
            str(line.stopped),
            f"{line.cpu_s:.0f}",
        )
    return shown


def words(estimate: Estimate, sign: str = "") -> str:
    """`0.910 [0.884, 0.936]`; a single run is a number alone."""
    value = f"{estimate.value:{sign}.3f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def draw(runs: Runs, score: str, title: str, target: Path) -> Path:
    """A PNG: where every run ended, and the way there over the tokens generated."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, max(4.2, 1.2 + 0.34 * len(runs))), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    ends, ways = figure.subplots(1, 2)
    _ends_panel(ends, runs, score)
    _ways_panel(ways, runs, score)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    return target


def _ends_panel(axes: Axes, runs: Runs, score: str) -> None:
    frame(axes, "Where the runs end", "", [0])
    for place, outcomes in enumerate(runs.values()):
        scores = [outcome.end.score for outcome in outcomes.values()]
        found = student(scores)
        axes.scatter(scores, [place] * len(scores), s=16, color=BEFORE, zorder=2)
        if not math.isnan(found.low):
            axes.plot([found.low, found.high], [place, place], color=_color(place), linewidth=1.6)
        axes.scatter([found.value], [place], s=42, color=_color(place), zorder=3)
    axes.set_yticks(range(len(runs)), [fill(arm, NAME_WIDTH) for arm in runs], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_xlabel(f"{score.removeprefix('eval/')}: each seed, mean, 95%", fontsize=9, color=GREY)


def _ways_panel(axes: Axes, runs: Runs, score: str) -> None:
    frame(axes, "The way there", score.removeprefix("eval/"), [0])
    for place, (arm, outcomes) in enumerate(runs.items()):
        for number, outcome in enumerate(outcomes.values()):
            axes.plot(
                [point.tokens / 1000 for point in outcome.curve],
                [point.score for point in outcome.curve],
                color=_color(place),
                linewidth=0.9,
                alpha=0.75,
                label=fill(arm, NAME_WIDTH) if number == 0 and len(runs) <= CURVES else None,
            )
    axes.set_xlabel("thousand tokens generated in training", fontsize=9, color=GREY)
    if len(runs) <= CURVES:
        axes.legend(frameon=False, fontsize=8, loc="lower right")


def _color(place: int) -> str:
    return COLORS[place % CURVES]
