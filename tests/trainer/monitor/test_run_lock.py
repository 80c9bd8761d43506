"""Two processes never write to one folder; a holder that is gone does not keep the next one out."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from tests.support.runs import smoke
from trainer.commands.sft import run_sft
from trainer.commands.train import run_training
from trainer.monitor.progress import STOPPED
from trainer.monitor.run_lock import FILE, locked
from trainer.reward_models.training import run_reward_training

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys, time
from pathlib import Path
from trainer.monitor.run_lock import locked

with locked(Path(sys.argv[1]), lease_s=0.6):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(folder):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n", process.communicate()[1]
    return process


def elsewhere(folder):
    """The lock as a process of another host would have written it."""
    folder.mkdir(exist_ok=True)
    path = folder / FILE
    path.write_text("filelock/2\npid=1\nhost=far-away\nmode=lease\ntoken=ab\nduration=0.6\n")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_one_is_refused_while_the_first_holds_the_folder(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        assert names(folder) == [FILE]
        with pytest.raises(RecipeError, match=rf"run is in use by process {os.getpid()} on "):  # noqa: SIM117
            with locked(folder):
                pytest.fail("both hold it")
    assert not folder.exists(), "nothing was written, so nothing is left"
    with locked(folder):
        (folder / "metrics.jsonl").touch()
        assert names(folder) == ["metrics.jsonl", FILE]
    assert names(folder) == ["metrics.jsonl"]


@pytest.mark.slow
def test_a_holder_that_was_killed_is_recognised_at_once(tmp_path):
    process = holder(tmp_path)
    process.kill()
    process.wait()
    assert names(tmp_path) == [FILE]
    with locked(tmp_path, lease_s=0.6):
        pass
    assert names(tmp_path) == []


@pytest.mark.slow
def test_a_holder_that_sleeps_keeps_the_folder_and_is_named(tmp_path):
    process = holder(tmp_path)
    try:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(RecipeError, match=f"process {process.pid} on"):  # noqa: SIM117
            with locked(tmp_path, lease_s=0.6):
                pytest.fail("it is only asleep")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_holder_whose_lock_was_taken_ends_before_it_writes_again(tmp_path):
    process = holder(tmp_path)
    (tmp_path / FILE).unlink()
    elsewhere(tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == STOPPED
    assert "was lost" in said and "Nothing more is written" in said


def test_a_silent_holder_on_another_host_is_replaced_after_its_lease(tmp_path, capsys):
    elsewhere(tmp_path)
    with locked(tmp_path, lease_s=0.6):
        assert "host=far-away" not in (tmp_path / FILE).read_text()
    said = capsys.readouterr().err
    assert "process 1 on far-away; waiting 0.6 s" in said


def test_a_holder_on_another_host_that_renews_its_lock_is_not_replaced(tmp_path):
    path, done = elsewhere(tmp_path), threading.Event()

    def renew():
        while not done.wait(0.1):
            os.utime(path)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(RecipeError, match="process 1 on far-away"):  # noqa: SIM117
            with locked(tmp_path, lease_s=0.6):
                pytest.fail("both hold it")
    finally:
        done.set()
        renewing.join()


def test_only_rank_0_takes_the_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with locked(tmp_path), locked(tmp_path):
        assert names(tmp_path) == []


SFT = [
    "problems.source={name: sums, split: train, size: 8, seed: 0, demonstrations: true}",
    "steps=1",
]
CONSOLE = Console(file=io.StringIO())
COMMANDS = {
    "train": lambda folder: run_training("smoke/grpo", smoke(folder, folder), resume=False),
    "sft": lambda folder: run_sft("quickstart_sft", [f"output={folder}", *SFT]),
    "reward": lambda folder: run_reward_training("smoke/reward", [f"output={folder}"], CONSOLE),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_writes_takes_the_lock_before_it_writes(tmp_path, command):
    folder = tmp_path / "run"
    with locked(folder):
        with pytest.raises(RecipeError, match="is in use by process"):
            COMMANDS[command](folder)
        assert names(folder) == [FILE]


def test_what_did_not_start_leaves_no_folder_above_either(tmp_path):
    (tmp_path / "runs").mkdir()
    with locked(tmp_path / "runs" / "a" / "b"):
        pass
    assert names(tmp_path) == ["runs"] and names(tmp_path / "runs") == []


def test_the_cause_of_an_end_is_not_hidden_by_a_folder_that_is_gone(tmp_path):
    with pytest.raises(ValueError, match="the cause"), locked(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")
        raise ValueError("the cause")
