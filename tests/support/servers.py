"""A vLLM server that tests share: a tiny tied model on the CPU, started once per process.

url, folder = shared_server()        waits some 20 s the first time; weights are pushed by each test
"""

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rollout.engines.vllm_remote.launch import LaunchSpec, launch
from rollout.generation import EngineContext
from tests.support.models import END, WIDE, save_words, tiny_model

LONGEST = 400  # tokens of context
KEY = "SHARED_SERVER_KEY"  # environment variable with its key, once it runs


@functools.cache
def shared_server() -> tuple[str, Path]:
    """Its address, and the folder that it started from."""
    folder = Path(tempfile.mkdtemp())
    tiny_model(folder, "qwen2", tied=True, **WIDE)
    save_words(folder)
    context = EngineContext(
        folder=folder, dtype="float32", context_length=LONGEST, stop_ids=(END,), seed=0
    )
    with ThreadPoolExecutor(1) as thread:  # the caller may have a loop of its own running
        children = thread.submit(asyncio.run, launch(LaunchSpec(), context, "gloo")).result()
    atexit.register(shutil.rmtree, folder)
    atexit.register(children.close)
    os.environ[KEY] = children.key
    return children.urls[0], folder


def running(number: int) -> bool:
    """Whether the process still does something; a zombie does not."""
    stat = Path(f"/proc/{number}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
