"""A guard ends its server, and removes its folder, when the trainer is gone."""

import subprocess
import sys
import time

from rollout.engines.vllm_remote import guard
from tests.support.servers import running


def test_a_server_goes_with_a_trainer_that_was_killed(tmp_path):
    """The parent is killed by force; guard, server and their folder are gone soon after."""
    folder = tmp_path / "servers"
    folder.mkdir()
    note = tmp_path / "pid"
    server = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    guarded = [sys.executable, guard.__file__]
    parent = (
        "import os, subprocess, sys, time; "
        f"subprocess.Popen([*{guarded!r}, str(os.getpid()), {str(folder)!r}, "
        f"sys.executable, '-c', {server!r}], "
        "start_new_session=True); time.sleep(600)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", parent])
    until(lambda: note.exists() and note.read_text())
    number = int(note.read_text())
    trainer.kill()
    trainer.wait()
    until(lambda: not running(number))
    until(lambda: not folder.exists())


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
