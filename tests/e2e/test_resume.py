"""Kill at any moment, resume, and it is the run that was never killed: to the bit."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.support.runs import command, environment, launch, numbers, smoke, tiny_base
from trainer.monitor.progress import RESUME_ME, STOPPED

KILLS = int(os.environ.get("TEMPER_KILLS", "4"))
STEPS = 4 * KILLS  # more than a killed run gets through, so that every kill finds it alive


def settings(base: Path, output: Path) -> list[str]:
    return smoke(base, output, steps=STEPS, minibatches=2, checkpoint__every=2)


def policy_state(folder: Path, steps: int) -> dict[str, torch.Tensor]:
    newest = sorted((folder / "checkpoints").glob("step_*"))[-1]
    assert newest.name == f"step_{steps:06d}"
    state = torch.load(newest / "policy" / "replica.pt", weights_only=True)
    return dict(flat(state))


def flat(value: object, path: str = "") -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(path, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if is_list(value) else ()
    return [found for key, inner in pairs for found in flat(inner, f"{path}.{key}")]


def is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def assert_equal_runs(left: Path, right: Path, *, steps: int = STEPS) -> None:
    ours, theirs = policy_state(left, steps), policy_state(right, steps)
    assert ours and ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different
    assert numbers(left) == numbers(right)


SLOW = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def score(response):
    if (HERE / "broken").exists():
        raise RuntimeError("out of order")
    if (HERE / "slow").exists():
        (HERE / "asked").touch()
        time.sleep(5)
    return float(any(c in "01234" for c in response))
"""


def evaluated(base: Path, output: Path, plugin: Path) -> list[str]:
    """As `settings`, with an evaluation after every second step, slow where a file says so."""
    entry = {"name": "plugin", "function": f"{plugin}:score"}
    suite = {"problems": {"source": {"size": 16}}, "verifier": entry, "name": "slow"}
    spec = {"suite": "sums", "every": 2, "samples": 2, "sampling": {"max_tokens": 8}}
    evaluate = json.dumps([{**spec, "at_start": False, "at_end": False, "overrides": suite}])
    return smoke(base, output, steps=4, checkpoint__every=3, evaluate=evaluate)


def wait_for_lines(process: subprocess.Popen[bytes], file: Path, lines: int) -> None:
    """Until the run has logged that much, or has ended."""
    while process.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_equals_never_killed(tmp_path):
    base = tiny_base(tmp_path / "base")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    done = launch(settings(base, undisturbed))
    assert done.returncode == 0, done.stderr

    rng = random.Random(int(os.environ.get("TEMPER_KILL_SEED", "0")))
    hits = 0
    for attempt in range(KILLS):
        process = subprocess.Popen(
            command(settings(base, killed), resume=attempt > 0),
            cwd=Path(__file__).parent.parent.parent,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        so_far = len(numbers(killed)) if (killed / "metrics.jsonl").exists() else 0
        wait_for_lines(process, killed / "metrics.jsonl", so_far + rng.choice([0, 1, 1, 2]))
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            hits += 1
        process.wait()
    assert hits == KILLS, "the run ended before the last kill"
    last = launch(settings(base, killed), resume=True)
    assert last.returncode == 0, last.stderr
    assert_equal_runs(undisturbed, killed)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_request_saves_and_asks_to_be_resumed(tmp_path, number):
    base = tiny_base(tmp_path / "base")
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    assert launch(settings(base, undisturbed)).returncode == 0
    process = subprocess.Popen(
        command(settings(base, stopped)),
        cwd=Path(__file__).parent.parent.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_for_lines(process, stopped / "metrics.jsonl", 3)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == RESUME_ME, said.decode()
    assert b"--resume" in said
    assert launch(settings(base, stopped), resume=True).returncode == 0
    assert_equal_runs(undisturbed, stopped)


@pytest.mark.slow
def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path):
    base = tiny_base(tmp_path / "base")
    assert launch(smoke(base, tmp_path / "run")).returncode == 0
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = launch(smoke(base, tmp_path / "run"))
    assert again.returncode == 1
    assert "already holds a run" in again.stderr and "--resume" in again.stderr
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 4])  # on the way, and at the end
def test_a_stop_request_does_not_wait_for_an_evaluation(tmp_path, step):
    base, plugin = tiny_base(tmp_path / "base"), tmp_path / "reward.py"
    plugin.write_text(SLOW)
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    assert launch(evaluated(base, undisturbed, plugin)).returncode == 0
    options = evaluated(base, stopped, plugin)
    if step == 4:
        assert launch([*options, "steps=3"]).returncode == 0
    (tmp_path / "slow").touch()
    process = subprocess.Popen(
        command(options, resume=step == 4),
        cwd=Path(__file__).parent.parent.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not (tmp_path / "asked").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == RESUME_ME, said.decode()
    assert (stopped / "checkpoints" / f"step_{step:06d}" / "manifest.json").exists()
    assert not (stopped / "eval" / f"slow_step_{step:06d}.json").exists()
    assert [line for line, _ in numbers(stopped)] == list(range(1, step))
    (tmp_path / "slow").unlink()
    assert launch(options, resume=True).returncode == 0
    assert_equal_runs(undisturbed, stopped, steps=4)
    assert "eval/slow/pass@1" in dict(numbers(stopped))[step]


@pytest.mark.slow
def test_an_evaluation_that_fails_costs_no_step(tmp_path):
    base, plugin = tiny_base(tmp_path / "base"), tmp_path / "reward.py"
    plugin.write_text(SLOW)
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    assert launch(evaluated(base, undisturbed, plugin)).returncode == 0
    (tmp_path / "broken").touch()
    done = launch(evaluated(base, stopped, plugin))
    assert done.returncode == STOPPED, done.stderr
    assert "no answer got a verdict" in done.stderr and "out of order" in done.stderr
    assert "last checkpoint" in done.stderr and "step_000002" in done.stderr
    (tmp_path / "broken").unlink()
    assert launch(evaluated(base, stopped, plugin), resume=True).returncode == 0
    assert_equal_runs(undisturbed, stopped, steps=4)


@pytest.mark.slow
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole(tmp_path):
    base = tiny_base(tmp_path / "base")
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    assert launch(smoke(base, whole, steps=4)).returncode == 0
    for steps, file in ((3, "policy/replica.pt"), (4, "manifest.json")):
        assert launch(smoke(base, damaged, steps=steps), resume=True).returncode == 0
        path = damaged / "checkpoints" / f"step_{steps:06d}" / file
        content = path.read_bytes()
        path.write_bytes(content[:-60] + bytes([content[-60] ^ 1]) + content[-59:])
        done = launch(smoke(base, damaged, steps=4), resume=True)
        assert done.returncode == 0, done.stderr
        fault = "changed after it was written: policy/replica.pt"
        assert (fault if steps == 3 else "manifest.json ") in done.stderr
        assert f"resuming from step_{steps - 1:06d}, the newest checkpoint that is whole" in (
            done.stderr
        )
        assert (damaged / "checkpoints" / f"damaged-1-step_{steps:06d}").is_dir()
        assert_equal_runs(whole, damaged, steps=4)
    for checkpoint in (damaged / "checkpoints").glob("step_*"):
        (checkpoint / "host.pt").write_bytes(b"")
    refused = launch(smoke(base, damaged, steps=6), resume=True)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "none of the checkpoints" in refused.stderr and "host.pt has 0 bytes" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_request_before_the_first_step_asks_to_be_started_again(tmp_path, number):
    process = subprocess.Popen(
        command(smoke(tiny_base(tmp_path / "base"), tmp_path / "run")),
        cwd=Path(__file__).parent.parent.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not (tmp_path / "run" / "run.lock").exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == RESUME_ME, said.decode()
    assert number.name.encode() in said and b"--resume" in said and b"Traceback" not in said
    assert not (tmp_path / "run" / "run.lock").exists()
