"""A vLLM server as a user would start it, on a free port of this machine, until the block ends.

with vllm_server(folder, "--runner", "pooling") as url: ...      http://127.0.0.1:PORT, without /v1

It starts in about half a minute on a CPU. The model is served under the name `served`.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollout.engines.vllm_remote.launch import environment

START_S = 240


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def vllm_server(folder: Path, *arguments: str, context: int = 512) -> Iterator[str]:
    """The address of a server that answers."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "served", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", str(context), "--max-num-seqs", "8"]
    # The CPU build cannot take a seeded request in pieces: "CPU Generator does not use offset".
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(context)]
    command += ["--enforce-eager", *arguments]
    log = folder / "server.log"
    scratch = tempfile.TemporaryDirectory()  # not below `folder`: a socket's path is short
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**environment("", Path(scratch.name)), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()  # it ends its own children; what is left after that is killed
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        scratch.cleanup()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until /health is 200; one that ended or is too slow fails the test with its last words."""
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            pass  # it is still loading
        time.sleep(0.25)
