"""vLLM in the trainer's own process: the fast engine of a single trainer process.

    generate() --one request per sample--> LLMEngine.step --one token each--> samples --> future
                                               ^                one driver task steps it and
    load_weights() --abort, push, ask again----'                yields to the event loop in between

Ids go in and come out; text is never made. What was sampled before a push stays: the sample goes
on under the new weights, from its own tokens, so the cache holds nothing of the old ones.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Parallel
from rollout.engines import engine
from rollout.engines.vllm_embedded.samples import Call, FlyingSample
from rollout.engines.vllm_embedded.start import Eager, Placement, check_placement, start, stop
from rollout.generation import NO_ROOM, Engine, EngineContext, WeightSource, check_prompt
from rollout.types import Completion, EngineDied, EngineError, Finish, Sampling

if TYPE_CHECKING:
    from vllm import LLMEngine
    from vllm.lora.request import LoRARequest
    from vllm.outputs import RequestOutput


class VllmEngine:
    """An Engine over one in-process LLMEngine, which is started on first use."""

    def __init__(self, context: EngineContext, placement: Placement) -> None:
        self._context = context
        self._placement = placement
        self._llm: LLMEngine | None = None
        self._vocabulary = 0
        self._made_group = False
        self._asleep = False
        self._version = 0
        self._adapter: LoRARequest | None = None  # of the version in use
        self._numbers = itertools.count(1)  # of requests and adapters
        self._flying: dict[str, tuple[Call, FlyingSample]] = {}  # by request id
        self._driver: asyncio.Task[None] | None = None
        self._ended = ""  # why no call can be served any more
        self._cause: Exception | None = None

    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """`n` completions; a prompt that fills the context gives empty ones that end with LENGTH.

        Samples are requests of their own: vLLM's prefix cache computes their prompt once.
        """
        llm = self._started()
        check_prompt(prompt_ids, self._vocabulary)
        limit = self._context.room(prompt_ids, sampling)
        if limit <= 0 or n == 0:
            return [NO_ROOM] * n
        stops = self._context.stop_strings(sampling)
        samples = [
            FlyingSample(
                prompt=list(prompt_ids),
                sampling=sampling,
                index=i,
                limit=limit,
                stops=stops,
            )
            for i in range(n)
        ]
        call = Call(samples=samples, future=asyncio.get_running_loop().create_future())
        if self._asleep:
            llm.wake_up()
            self._asleep = False
        for sample in call.samples:
            self._ask(call, sample)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        try:
            await call.future
        except asyncio.CancelledError:
            self._abort([key for key, (owner, _) in self._flying.items() if owner is call])
            raise
        return call.completions

    async def load_weights(self, weights: WeightSource, version: int) -> None:
        """Push all weights, or the version's adapter where the engine was made for adapters.

        Order on a sleeping GPU: room for the weights, the weights, room for the cache.
        """
        llm = self._started()
        flying = list(self._flying.values())
        try:
            if self._flying:
                llm.abort_request(list(self._flying))
            if self._asleep:
                llm.wake_up(["weights"])
            self._push(llm, weights, version)
            if self._asleep:
                llm.wake_up(["kv_cache"])
                self._asleep = False
            if not llm.reset_prefix_cache():
                raise RuntimeError("the prefix cache still holds blocks of the old weights")
            self._version = version
            self._flying.clear()
            for call, sample in flying:
                sample.leg += 1
                self._ask(call, sample)
        except Exception as error:  # weights that arrived in part are no policy
            self._end(f"vLLM did not take version {version}: {error!r}", error)
            self._check_open()

    async def close(self) -> None:
        """Shut vLLM down; pending calls fail."""
        self._end("the vllm engine is closed")
        if self._driver is not None:
            self._driver.cancel()
        if self._llm is not None:
            stop(self._llm, made_group=self._made_group)
        self._llm, self._driver = None, None

    def _started(self) -> "LLMEngine":
        """vLLM itself, started by the first call. Raises EngineDied."""
        self._check_open()
        if self._llm is None:
            self._made_group = not torch.distributed.is_initialized()
            self._llm = start(self._context, self._placement)
            self._vocabulary = self._llm.model_config.get_vocab_size()
        return self._llm

    def _ask(self, call: Call, sample: FlyingSample) -> None:
        """One request for the rest of the sample."""
        from vllm.inputs.engine import tokens_input

        key = str(next(self._numbers))
        prompt = tokens_input(sample.prompt + sample.ids)
        params = sample.params(self._context.stop_ids)
        try:
            self._started().add_request(key, prompt, params, lora_request=self._adapter)
        except ValueError as error:
            raise EngineError(f"vLLM refuses a prompt of {len(sample.prompt)} tokens") from error
        self._flying[key] = (call, sample)

    async def _drive(self) -> None:
        """Step vLLM until no request is left; other tasks run between steps."""
        try:
            while self._flying:
                with torch.random.fork_rng(devices=[]):  # its CPU sampler draws from the process's
                    outputs = self._started().step()
                for output in outputs:
                    self._take(output)
                if self._flying:
                    await asyncio.sleep(0)
            if self._placement.sleep:  # before the caller that waits for the last sample goes on
                self._started().sleep(level=1)
                self._asleep = True
        except Exception as error:  # whatever it was, the samples are lost
            self._end(f"vLLM failed while sampling: {error!r}", error)

    def _take(self, output: "RequestOutput") -> None:
        """Add a step's tokens to their sample, and end it where they say so."""
        if output.request_id not in self._flying:
            return  # aborted in the meantime
        call, sample = self._flying[output.request_id]
        piece = output.outputs[0]
        sample.extend(piece.token_ids, piece.logprobs.logprobs, self._version)
        stopped = sample.has_stop_string
        if piece.finish_reason is not None:
            del self._flying[output.request_id]
        elif stopped:
            self._abort([output.request_id])
        else:
            return
        sample.end(Finish.STOP if stopped else _FINISH.get(piece.finish_reason, Finish.ABORT))
        call.settle()

    def _abort(self, keys: list[str]) -> None:
        if keys and self._llm is not None:
            self._llm.abort_request(keys)
        for key in keys:
            del self._flying[key]

    def _push(self, llm: "LLMEngine", weights: WeightSource, version: int) -> None:
        """All weights in one call, or the version's adapter under a new name, the old one removed.

        Workers that are other processes read all weights from disk. A tied head goes by its
        embedding alone: some models refuse to hear of it twice.
        """
        if self._context.max_lora_rank:
            from vllm.lora.request import LoRARequest

            adapter = weights.adapter_folder(version)
            assert adapter is not None, "an engine made for adapters, and weights without one"
            if self._adapter is not None:
                llm.remove_lora(self._adapter.lora_int_id)
            self._adapter = LoRARequest(f"policy-v{version}", next(self._numbers), str(adapter))
            llm.add_lora(self._adapter)
            return
        tied = llm.model_config.hf_text_config.tie_word_embeddings
        named = (
            (name, tensor.detach())
            for name, tensor in weights.named_tensors()
            if not (tied and name.endswith("lm_head.weight"))
        )
        if self._placement.tensor_parallel_size == 1:
            llm.collective_rpc("load_policy", args=(named, ""))
            return
        from safetensors.torch import save_file

        with tempfile.TemporaryDirectory(prefix="temper-push-") as folder:
            tensors = {name: tensor.cpu().clone() for name, tensor in named}
            save_file(tensors, Path(folder) / "model.safetensors")
            llm.collective_rpc("load_policy", args=(None, folder))

    def _check_open(self) -> None:
        if self._ended:
            raise EngineDied(self._ended) from self._cause

    def _end(self, why: str, cause: Exception | None = None) -> None:
        """Fail every pending and later call; the first reason stays."""
        if not self._ended:
            self._ended, self._cause = why, cause
        for call, _ in self._flying.values():
            if not call.future.done():
                died = EngineDied(why)
                died.__cause__ = cause
                call.future.set_exception(died)
        self._flying.clear()


_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH}


@engine.register()
def vllm(
    context: EngineContext,
    *,
    eager: Annotated[
        Eager,
        Field(description="Whether to run without compilation: on the CPU only, always, or never"),
    ] = "cpu",
    gpu_memory_utilization: Annotated[
        float, Field(gt=0, lt=1, description="Share of a GPU's memory for weights and KV cache")
    ] = 0.4,
    tensor_parallel_size: Annotated[
        Parallel,
        Field(gt=0, description="Number of GPUs that share each layer (tensor parallelism)"),
    ] = 1,
    max_sequences: Annotated[
        Parallel, Field(gt=0, description="Maximum number of sequences decoded at the same time")
    ] = 256,
    sleep: Annotated[
        bool, Field(description="Whether to free GPU memory while the colocated trainer runs")
    ] = False,
) -> Engine:
    """vLLM inside the trainer's process, its weights replaced in place at every push.

    Faster than `hf` on a GPU and for long samples, at a start-up of about 20 s and a second copy
    of the weights. For a single trainer process; several share a `vllm_server`. Refuses to go on
    when a push fails half-way.
    """
    placement = Placement(
        eager=eager,
        gpu_memory_utilization=gpu_memory_utilization,
        tensor_parallel_size=tensor_parallel_size,
        max_sequences=max_sequences,
        sleep=sleep,
    )
    check_placement(placement)
    return VllmEngine(context, placement)
