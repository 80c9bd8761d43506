"""A rank that stops answering is named, and the others end."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
MEET = """
import sys
from trainer.parallel.ranks import Processes
from trainer.recipe.sections import ShardingSpec

met = Processes.start(ShardingSpec(heartbeat_s=6.0))
met.barrier()
print("met", flush=True)
sys.stdin.readline()
met.barrier()  # a stopped rank never comes here
met.leave()
"""


def ranks(count):
    """Processes that have met."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    quiet = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
             "PYTHONPATH": str(Path(__file__).resolve().parents[3])}  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MEET],
            env={**os.environ, **quiet, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    for process in started:
        assert process.stdout.readline() == "met\n", process.communicate()[1]
    return started


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_rank_is_named_by_the_others_and_they_end(stopped):
    started = ranks(3)
    started[stopped].send_signal(signal.SIGSTOP)
    try:
        for rank, process in enumerate(started):
            if rank == stopped:
                continue
            process.stdin.write("\n")
            process.stdin.flush()
        for rank, process in enumerate(started):
            if rank == stopped:
                continue
            _, said = process.communicate(timeout=120)
            assert process.returncode == 3, said
            assert f"stopped: rank {stopped}" in said and "has not answered for 6 s" in said
            assert f"process {started[stopped].pid}" in said or stopped == 0
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_ranks_that_answer_part_in_peace():
    started = ranks(2)
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        _, said = process.communicate(timeout=120)
        assert (process.returncode, "stopped:" in said) == (0, False)


def test_a_port_in_use_where_the_ranks_meet_is_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
        for name, value in {**place, "RANK": "0", "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        code = "from trainer.parallel.ranks import Processes as P\nfrom trainer.recipe.sections " \
               "import ShardingSpec as S\nP.start(S(timeout_s=20))"  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert "RecipeError" in done.stderr and "where the ranks meet, is in use" in done.stderr


@pytest.mark.slow
def test_a_rank_without_a_place_to_meet_is_told_what_is_not_set() -> None:
    program = (
        "from trainer.parallel.ranks import Processes\n"
        "from trainer.recipe.sections import ShardingSpec\n"
        "Processes.start(ShardingSpec())"
    )
    names = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")
    environment = {k: v for k, v in os.environ.items() if k not in names} | {"LOCAL_RANK": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).resolve().parents[3],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "RecipeError: the ranks cannot meet at <MASTER_ADDR not set>" in done.stderr
