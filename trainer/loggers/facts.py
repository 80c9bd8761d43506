"""A step's metrics as the few facts a person watches. Registers nothing itself."""

from collections.abc import Iterator, Mapping

Fact = tuple[str, str]  # what, how much: ("reward", "0.523 [0.481, 0.565]")


def facts(metrics: Mapping[str, float]) -> list[Fact]:
    """What this step says, in a fixed order; a metric that nobody computed is left out."""
    m = metrics
    found: list[Fact] = []
    if "reward/mean" in m:
        interval = _interval(m, "reward/interval_low", "reward/interval_high")
        found.append(("reward", f"{m['reward/mean']:.3f}{interval}"))
    if "rollout/useful_frac" in m:
        found.append(("useful groups", f"{m['rollout/useful_frac']:.0%}"))
    if "policy/entropy" in m:
        found.append(("entropy", f"{m['policy/entropy']:.3f}"))
    clips = [
        f"{side} {m[f'loss/clip_{side}_frac']:.1%}"
        for side in ("low", "high")
        if f"loss/clip_{side}_frac" in m
    ]
    if clips:
        found.append(("clipped", " ".join(clips)))
    if "optim/grad_norm" in m:
        found.append(("gradient", f"{m['optim/grad_norm']:.3g}"))
    lengths = []
    if "rollout/length_mean" in m:
        lengths.append(f"{m['rollout/length_mean']:.0f}")
    if "rollout/length_max" in m:
        lengths.append(f"max {m['rollout/length_max']:.0f}")
    if "rollout/truncated_frac" in m:
        lengths.append(f"cut {m['rollout/truncated_frac']:.1%}")
    if lengths:
        found.append(("length", " ".join(lengths)))
    if "probe/gap_mean" in m:
        most = f" max {m['probe/gap_max']:.1e}" if "probe/gap_max" in m else ""
        found.append(("probe gap", f"{m['probe/gap_mean']:.1e}{most}"))
    if "throughput/tokens_per_s" in m:
        found.append(("speed", f"{m['throughput/tokens_per_s']:.0f} tok/s"))
    if "time/step_s" in m:
        found.append(("step", f"{m['time/step_s']:.3g}s"))
    return found


def warnings(metrics: Mapping[str, float]) -> list[str]:
    """What went wrong this step and may be overlooked."""
    found = []
    if metrics.get("optim/skipped", 0) > 0:
        found.append("update skipped: loss or gradient is not finite")
    if metrics.get("rollout/useful_frac", 1) == 0 and metrics.get("ledger/trained", 0) == 0:
        found.append("no group has a signal: in each, all rewards are equal")
    missing = metrics.get("ledger/verifier_error", 0)
    if missing > 0:
        found.append(f"{missing:.0f} samples without a verdict")
    failed = metrics.get("ledger/engine_error", 0)
    if failed > 0:
        found.append(f"{failed:.0f} samples lost by the engine")
    return found


def evaluations(metrics: Mapping[str, float]) -> Iterator[Fact]:
    """`eval/<suite>/pass@1` and its interval, one fact a suite and metric.

    avg@n is left out: it is pass@1 again.
    """
    for name, value in metrics.items():
        area, _, rest = name.partition("/")
        suite, _, metric = rest.rpartition("/")
        if area != "eval" or metric.endswith(("_low", "_high")):
            continue
        if metric.startswith(("pass@", "maj@")):
            interval = _interval(metrics, f"{name}_low", f"{name}_high")
            yield f"{suite} {metric}", f"{value:.3f}{interval}"


def duration(seconds: float) -> str:
    """45s, 18m, 3h12m, 2d4h."""
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 60:
        return f"{seconds:.0f}s"
    if minutes < 60:
        return f"{minutes:.0f}m"
    if hours < 24:
        return f"{int(hours)}h{int(minutes % 60):02d}m"
    return f"{int(hours // 24)}d{int(hours % 24)}h"


def _interval(m: Mapping[str, float], low: str, high: str) -> str:
    return f" [{m[low]:.3f}, {m[high]:.3f}]" if low in m and high in m else ""
