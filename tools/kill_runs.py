"""Kill runs at random moments, damage their checkpoints, resume; compare with an undisturbed run.

    make kill                                   python -m tools.kill_runs --kills 40
    python -m tools.kill_runs --mode stale      with max_staleness 1

A trial is one run of a tiny model that is killed several times, by SIGKILL or SIGTERM, at moments
drawn from the time that it takes undisturbed, start and saves included. In every third trial a file
of the newest checkpoint is damaged after each kill. What must be equal at the end: the weights and
the optimizer to the bit, and every metric but those of a clock. With `max_staleness: 1` the moment
at which a sample meets new weights depends on the machine, so two undisturbed runs differ too:
there every step must be there once and the samples must add up. The exit code is 1 for anything
else.
"""

import argparse
import importlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from trainer.commands import cli
from trainer.loggers.jsonl import read_metrics
from trainer.models.tiny import make_tiny
from trainer.monitor.checkpoint import complete, latest
from trainer.monitor.progress import RESUME_ME
from trainer.parallel.state_files import read_state
from trainer.recipe.kinds import TinySpec

CLOCKS = ("time/", "throughput/", "verifier/seconds")
EXACT = frozenset({"progress/samples", "ledger/issued"})  # with samples that may be stale, too
KILLS_PER_TRIAL = 4
MODES = {
    "synchronous": [],
    "stale": ["max_staleness=1", "correction={name: truncated_is, cap: 2.0}"],
}
DAMAGES = ("cut", "emptied", "zeroed", "flipped", "removed")


@dataclass(kw_only=True)
class Result:
    """What the trials of one mode came to."""

    trials: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    stops: int = 0  # SIGTERMs that were answered with exit code 75
    damaged: Counter[str] = field(default_factory=Counter)
    differing: int = 0  # trials with other numbers, where that is no fault
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        damages = ", ".join(f"{count} {how}" for how, count in sorted(self.damaged.items()))
        lines = [
            f"{self.trials} trials, kills: {kills or 'none'} ({self.stops} runs saved and exited "
            f"{RESUME_ME})",
            f"damaged checkpoints: {damages or 'none'}",
            f"trials with other numbers than the undisturbed run: {self.differing}",
            f"faults: {len(self.faults)}",
        ]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


def start(options: Sequence[str], log: Path, *, resume: bool) -> int:
    """A run in a child of this process, which has imported everything already; its number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        with log.open("ab") as output:
            for descriptor in (1, 2):
                os.dup2(output.fileno(), descriptor)
        sets = [word for option in options for word in ("--set", option)]
        sys.argv = ["temper", "train", "smoke/grpo", *sets, *(["--resume"] if resume else [])]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def finish(child: int) -> int:
    """The child's exit code; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_later(child: int, number: int, after_s: float) -> int:
    """Send the signal unless the child ends before; its exit code."""
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    if number == signal.SIGKILL:
        os.killpg(child, number)
    else:
        os.kill(child, number)
    return finish(child)


def damage(run: Path, rng: random.Random) -> str:
    """Damage a file of the newest checkpoint where an older one is left; how, or nothing."""
    if len(complete(run / "checkpoints")) < 2:
        return ""
    newest = latest(run / "checkpoints")
    assert newest is not None, "there are two"
    file = rng.choice(sorted(path for path in newest.rglob("*") if path.is_file()))
    content, how = file.read_bytes(), rng.choice(DAMAGES)
    place = rng.randrange(len(content))
    flipped = content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)])
    new = {
        "cut": content[:place],
        "emptied": b"",
        "zeroed": bytes(len(content)),
        "flipped": flipped + content[place + 1 :],
    }
    file.unlink()
    if how != "removed":
        file.write_bytes(new[how])
    return how


def trained(run: Path) -> Mapping[str, torch.Tensor]:
    """Every tensor of the last checkpoint, by its path."""
    newest = latest(run / "checkpoints")
    assert newest is not None, "the run has ended"
    found: dict[str, torch.Tensor] = {}
    waiting: list[tuple[str, object]] = [("", read_state(newest / "policy" / "replica.pt"))]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, torch.Tensor):
            found[path] = value
        elif isinstance(value, Mapping):
            waiting += [(f"{path}/{key}", inner) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{path}/{key}", inner) for key, inner in enumerate(value)]
    return found


def metrics(run: Path) -> list[tuple[int, Mapping[str, float]]]:
    """Every line, without the names that a clock decides."""
    return [
        (step, {name: value for name, value in line.items() if not name.startswith(CLOCKS)})
        for step, line in read_metrics(run / "metrics.jsonl")
    ]


def differences(left: Path, right: Path) -> list[str]:
    """Names of the tensors and metrics that differ between two runs."""
    ours, theirs = trained(left), trained(right)
    wrong = [f"tensor {name}" for name in sorted(ours.keys() | theirs.keys())
             if name not in ours or name not in theirs
             or not torch.equal(ours[name], theirs[name])]  # fmt: skip
    mine, other = metrics(left), metrics(right)
    if [step for step, _ in mine] != [step for step, _ in other]:
        return [*wrong, f"steps {[s for s, _ in mine]} and {[s for s, _ in other]}"]
    names = {
        name
        for (_, one), (_, two) in zip(mine, other, strict=True)
        for name in one.keys() | two.keys()
        if one.get(name) != two.get(name)
    }
    return wrong + sorted(names)


def trial(
    options: Sequence[str], run: Path, span_s: float, rng: random.Random, result: Result
) -> None:
    """One run with its kills, carried to its end."""
    settings = [*options, f"output={run}"]
    log = run.with_suffix(".log")
    damaging = result.trials % 3 == 2
    result.trials += 1
    for number in range(KILLS_PER_TRIAL):
        chosen = rng.choice([signal.SIGKILL, signal.SIGTERM])
        child = start(settings, log, resume=number > 0)
        code = kill_later(child, chosen, rng.uniform(0, span_s / 2))
        if code in (-chosen, RESUME_ME):
            result.kills[chosen.name] += 1
            result.stops += code == RESUME_ME
        elif code:
            result.faults.append(f"{run.name}: exit code {code} after {chosen.name}, see {log}")
        how = damage(run, rng) if damaging else ""
        result.damaged[how] += bool(how)
    code = finish(start(settings, log, resume=True))
    if code:
        result.faults.append(f"{run.name}: exit code {code} at its end, see {log}")


def carry_out(mode: str, kills: int, folder: Path, rng: random.Random) -> Result:
    """All trials of a mode."""
    base, result = folder / "base", Result()
    steps = ["steps=8", "minibatches=2", "checkpoint.every=1", "checkpoint.keep=3"]
    options = [f"model.path={base}", *steps, *MODES[mode]]
    whole = folder / f"{mode}-undisturbed"
    begin = time.monotonic()
    code = finish(start([*options, f"output={whole}"], whole.with_suffix(".log"), resume=False))
    span = time.monotonic() - begin
    if code:
        result.faults.append(f"the undisturbed run ended with {code}, see {whole}.log")
        return result
    while result.kills.total() < kills and len(result.faults) < 5:
        run = folder / f"{mode}-{result.trials}"
        trial(options, run, span, rng, result)
        wrong = differences(whole, run)
        result.differing += bool(wrong)
        if mode == "stale":
            wrong = [name for name in wrong if name in EXACT or name.startswith("steps ")]
        result.faults += [f"{run.name}: {name} differs" for name in wrong]
        print(f"{mode}: {result.kills.total()} kills, {len(result.faults)} faults", flush=True)
    del result.damaged[""]
    return result


def main() -> int:
    """Both modes, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=40, help="kills in each mode")
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept; a temporary one without")
    chosen = parser.parse_args()
    importlib.import_module("trainer.run.compose")  # once, so that a run starts in a second
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        shape = TinySpec(hidden=32, layers=2, heads=2, kv_heads=1, intermediate=64,
                         context_length=64)  # fmt: skip
        make_tiny(shape, folder / "base", seed=0)
        for mode in MODES if chosen.mode == "both" else [chosen.mode]:
            result = carry_out(mode, chosen.kills, folder, random.Random(chosen.seed))
            print(f"\n{mode}\n{result}\n", flush=True)
            faults += len(result.faults)
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
