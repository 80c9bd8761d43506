"""Servers as children of the trainer: their command lines, their start, their end.

launch() -> one guard per server -> /health answers -> addresses
a guard ends its server with the trainer; what the server wrote stays in the run's folder, and is
quoted when it dies. Every server of a launch takes the same random key, by its environment alone.
"""

import asyncio
import getpass
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator

from recipes.errors import RecipeError
from recipes.slots.spec import Parallel, Seconds, Spec
from rewards.http.client import HttpClient, HttpTimeout, HttpUnreachable
from rollout.engines.vllm_embedded.start import ADAPTER_RANKS
from rollout.engines.vllm_remote.key import MIDDLEWARE, VARIABLE, header
from rollout.generation import EngineContext

_HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[3]
_LOOK_S = 0.25
_LINES = 20  # of a dead server's output
_ERROR = re.compile(r"\b\w*(Error|Exception): \S")  # vLLM's last lines only point back to it
_POINTER = re.compile(r"see (the )?(root cause|stack trace|above)", re.IGNORECASE)
_LAUNCHERS = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_", "PMI_", "OMPI_")
_RANK = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK",
         "ROLE_NAME", "ROLE_WORLD_SIZE", "GROUP_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
         "CROSS_RANK", "CROSS_SIZE", "LOCAL_SIZE"}  # fmt: skip


class LaunchSpec(Spec):
    """vLLM servers that the trainer starts on its own machine, one per share of the devices."""

    devices: Annotated[
        str, Field(pattern=r"^(\d+(,\d+)*)?$", description="GPUs to serve on, such as `4,5,6,7`")
    ] = ""
    tensor_parallel_size: Annotated[
        Parallel, Field(gt=0, description="Number of GPUs per server")
    ] = 1
    port: Annotated[
        int,
        Field(
            ge=0,
            lt=65536,
            description="Port of the first server; further servers use the next ones; 0 = "
            "any free port",
        ),
    ] = 0
    gpu_memory_utilization: Annotated[
        float, Field(gt=0, lt=1, description="Share of a GPU's memory for weights and KV cache")
    ] = 0.9
    max_sequences: Annotated[
        Parallel,
        Field(
            gt=0, description="Maximum number of sequences that one server decodes at the same time"
        ),
    ] = 256
    start_timeout_s: Annotated[
        Seconds, Field(gt=0, description="Time limit for a server to load its model, in seconds")
    ] = 900.0

    @model_validator(mode="after")
    def _whole_servers(self) -> Self:
        count = len(self.devices.split(",")) if self.devices else 0
        if count % self.tensor_parallel_size:
            raise RecipeError.of(
                f"{count} devices cannot be shared out over servers of {self.tensor_parallel_size}",
                path="devices",
                fix="name a multiple of tensor_parallel_size devices",
            )
        return self

    @property
    def shares(self) -> tuple[str, ...]:
        """The devices of each server; one server without devices where none are named."""
        named = self.devices.split(",") if self.devices else []
        size = self.tensor_parallel_size
        return tuple(",".join(named[i : i + size]) for i in range(0, len(named), size)) or ("",)


@dataclass(frozen=True, kw_only=True)
class Child:
    """One launched server."""

    url: str
    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: Path
    begin: int  # bytes of earlier servers in the log

    @property
    def end(self) -> str:
        """What is known of a server that ended: command line, cause, last lines; else nothing."""
        ended = self.process.poll() is not None
        return f"the server at {self.url} ended\n{self.words}" if ended else ""

    @property
    def words(self) -> str:
        """Its command line, the first error and the last lines that it wrote, and where all are."""
        with self.log.open("rb") as log:
            log.seek(self.begin)
            lines = log.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if _ERROR.search(line) and not _POINTER.search(line)]
        first = [f"  first error: {errors[0].strip()}"] if errors else []
        last = [f"  | {line}" for line in lines[-_LINES:]]
        return "\n".join([f"  $ {shlex.join(self.command)}", *first, *last, f"  log: {self.log}"])


class Children:
    """The servers that one trainer launched."""

    def __init__(self, children: list[Child], folder: Path, key: str) -> None:
        self._children = children
        self._folder = folder
        self.key = key

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(child.url for child in self._children)

    @property
    def end(self) -> str:
        """About the first server that ended; nothing while all run."""
        return next((child.end for child in self._children if child.end), "")

    def words(self, url: str) -> str:
        """What is known of the server at an address, ended or not; nothing where it is not ours."""
        return next((child.words for child in self._children if child.url == url), "")

    def close(self) -> None:
        """End all servers, and wait until their memory is free again."""
        for child in self._children:
            if child.process.poll() is None:
                child.process.terminate()
        for child in self._children:
            try:
                child.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


async def launch(spec: LaunchSpec, context: EngineContext, backend: str) -> Children:
    """Servers that answer. Raises RecipeError: a port in use, a server that ends or is too slow."""
    folder = Path(tempfile.mkdtemp(prefix="temper-servers-"))
    logs = context.logs or folder
    logs.mkdir(parents=True, exist_ok=True)
    children = Children(made := [], folder, secrets.token_urlsafe(32))
    try:
        for i, devices in enumerate(spec.shares):
            port = _free_port(spec.port + i if spec.port else 0)
            command = tuple(serving(spec, context, backend, port))
            told = environment(devices, folder, children.key)
            url = f"http://{_HOST}:{port}"
            guard = [sys.executable, str(Path(__file__).with_name("guard.py")), str(os.getpid())]
            guard += [str(folder)]
            log = logs / f"server-{i}.log"
            with log.open("ab") as output:
                begin = output.tell()
                process = subprocess.Popen(
                    [*guard, *command],
                    env=told,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            made.append(Child(url=url, command=command, process=process, log=log, begin=begin))
        await _answering(made, spec.start_timeout_s, children.key)
    except BaseException:
        children.close()
        raise
    return children


def serving(spec: LaunchSpec, context: EngineContext, backend: str, port: int) -> list[str]:
    """The command line of a server that this engine can use; docs/many-gpus.md shows it too."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(context.folder), "--host", _HOST, "--port", str(port)]
    command += ["--dtype", context.dtype, "--max-model-len", str(context.context_length)]
    command += ["--seed", str(context.seed), "--max-num-seqs", str(spec.max_sequences)]
    command += ["--tensor-parallel-size", str(spec.tensor_parallel_size)]
    command += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"]
    command += ["--enable-scale-out", "--enable-prefix-caching", "--disable-uvicorn-access-log"]
    command += ["--middleware", MIDDLEWARE]
    command += ["--worker-extension-cls", "rollout.engines.vllm_remote.gloo.GlooWorker"]
    command += ["--weight-transfer-config", f'{{"backend": "{backend}"}}']
    if torch.cuda.is_available():
        command += ["--gpu-memory-utilization", str(spec.gpu_memory_utilization)]
    else:
        command += ["--enforce-eager", "--no-enable-chunked-prefill"]  # see vllm_embedded/start.py
    if context.max_lora_rank:
        ranks = [rank for rank in ADAPTER_RANKS if rank >= context.max_lora_rank]
        command += ["--enable-lora", "--max-lora-rank", str(min(ranks, default=0))]
    return command


def environment(devices: str, folder: Path, key: str = "") -> Mapping[str, str]:
    """The trainer's, without what its launcher says of ranks: vLLM has ranks of its own.

    folder: for its sockets and temporary files, of which it leaves some behind
    key: what its requests must carry; here and not on the command line, which all users can read
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _RANK and not name.startswith(_LAUNCHERS)
    }
    path = os.pathsep.join(filter(None, [str(_ROOT), kept.get("PYTHONPATH", "")]))
    defaults = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",  # a warning for every push would hide a server's last words
    }
    compiled = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}"
    needed = {
        "PYTHONPATH": path,
        "TMPDIR": str(folder),
        "VLLM_RPC_BASE_PATH": str(folder),
        "TORCHINDUCTOR_CACHE_DIR": kept.get("TORCHINDUCTOR_CACHE_DIR", str(compiled)),
        "VLLM_SERVER_DEV_MODE": "1",  # pause, resume and weights are there in this mode only
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        **({"CUDA_VISIBLE_DEVICES": devices} if devices else {}),
        **({VARIABLE: key} if key else {}),
    }
    return {**defaults, **kept, **needed}


def _free_port(port: int) -> int:
    """The port itself where nobody listens on it, any free one for 0."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((_HOST, port))
        except OSError as error:
            raise RecipeError.of(
                f"port {port} of {_HOST} is in use ({error.strerror}): another server runs there",
                path="engine.launch.port",
                fix="end that server, name another port, or 0 for any free one",
            ) from error
        number: int = trial.getsockname()[1]
        return number


async def _answering(children: list[Child], timeout_s: float, key: str) -> None:
    """Wait until all answer. Raises RecipeError with the last lines of the one that does not."""
    deadline = time.monotonic() + timeout_s
    waiting = list(children)
    client = HttpClient(headers=header(key))
    try:
        while waiting:
            child = waiting[0]
            if child.end:
                raise RecipeError.of(
                    f"vLLM did not start: {child.end}",
                    path="engine.launch",
                    fix="fix the first error in its log, quoted above",
                )
            if time.monotonic() > deadline:
                raise RecipeError.of(
                    f"the server at {child.url} did not answer within {timeout_s:g} s\n"
                    f"{child.words}",
                    path="engine.launch.start_timeout_s",
                    fix="raise it for a large model or a slow disk",
                )
            try:
                if (await client.send("GET", f"{child.url}/health", timeout_s=5)).status == 200:
                    waiting.pop(0)
                    continue
            except (HttpTimeout, HttpUnreachable):
                pass  # it is still loading
            await asyncio.sleep(_LOOK_S)
    finally:
        await client.close()
