"""The embedded engine: samples from the training module itself, in its own process and thread.

    generate() --request--> Batch --one token for all--> future --> generate() returns
                              ^                             one driver task steps the batch and
    load_weights() -----------'  caches again               yields to the event loop in between

Training and this engine share one thread: a training step, which never awaits, runs between two
decode steps. What is sampled after the trainer changed the weights and before `load_weights` would
be stale, so the trainer publishes before it awaits anything else.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recipes.errors import RecipeError
from rollout.attention import ATTENTION, Layout, packing_of, supports
from rollout.engines.embedded.decode_batch import Batch, DecodeRequest
from rollout.engines.embedded.kv_cache import KVRecording, SlotCache
from rollout.generation import NO_ROOM, EngineContext, WeightSource, check_prompt
from rollout.types import Completion, EngineDied, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class HfEngine:
    """An Engine over one transformers module and one batch that all calls share."""

    def __init__(self, context: EngineContext, max_batch: int) -> None:
        self._context = context
        self._max_batch = max_batch
        self._model: PreTrainedModel | None = None
        self._modules: list[nn.Module] = []  # of the model, to switch their mode
        self._batch: Batch | None = None
        self._version = 0
        self._futures: dict[DecodeRequest, asyncio.Future[None]] = {}
        self._driver: asyncio.Task[None] | None = None
        self._ended: str = ""  # why no call can be served any more
        self._cause: Exception | None = None

    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """`n` completions; calls that wait at the same time are decoded in one batch.

        A prompt that fills the context gives empty completions that end with LENGTH.
        """
        self._check_open()
        if self._batch is None:
            self._adopt(_replica(self._context.folder, self._context.dtype))
        assert self._batch is not None and self._model is not None
        batch = self._batch
        check_prompt(prompt_ids, self._model.config.get_text_config().vocab_size)
        limit = self._context.room(prompt_ids, sampling)
        stops = self._context.stop_strings(sampling)
        if limit <= 0 or n == 0:
            return [NO_ROOM] * n
        request = DecodeRequest(
            prompt=np.array(prompt_ids, dtype=np.int64),
            sampling=sampling,
            n=n,
            limit=limit,
            stops=stops,
        )
        future = asyncio.get_running_loop().create_future()
        self._futures[request] = future
        batch.add(request)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive(batch))
        try:
            await future
        except asyncio.CancelledError:
            batch.cancel(request)
            raise
        finally:
            del self._futures[request]
        return [request.completions[i] for i in range(n)]

    async def load_weights(self, weights: WeightSource, version: int) -> None:
        """Share the trainer's module; where it is not whole here, copy into a replica.

        Sequences in flight go on: their caches are computed again under the new weights.
        """
        self._check_open()
        if weights.shared_module is not None:
            self._adopt(weights.shared_module)
        else:
            if self._model is None:
                self._adopt(_replica(weights.folder, self._context.dtype))
            assert self._model is not None
            state = self._model.state_dict()
            written: set[int] = set()
            for name, tensor in weights.named_tensors():
                if name not in state:
                    raise RecipeError.of(
                        f"engine hf knows no weight '{name}' of {type(self._model).__name__}: its "
                        "files and its layers name weights differently",
                        path="engine",
                        fix="use engine vllm",
                    )
                state[name].copy_(tensor)
                written.add(state[name].data_ptr())
            missing = [name for name, x in state.items() if x.data_ptr() not in written]
            if missing:
                raise EngineDied(f"weights that never arrived: {', '.join(missing)}")
        self._version = version
        assert self._batch is not None
        with self._sampling():
            self._batch.recompute(self._forward)

    async def close(self) -> None:
        """Let go of the module and the cache; pending calls fail."""
        self._end("the hf engine is closed")
        if self._driver is not None:
            self._driver.cancel()
        self._model, self._modules, self._batch, self._driver = None, [], None, None

    def _adopt(self, module: nn.Module) -> None:
        """Sample from `module` from now on."""
        from transformers import PreTrainedModel

        # The causal model inside any wrapper: adapters are layers of it.
        model = next((m for m in module.modules() if isinstance(m, PreTrainedModel)), None)
        if model is None or model.config._attn_implementation != ATTENTION:
            raise RecipeError.of(
                f"engine hf cannot decode a {type(model or module).__name__}: packed attention "
                "does not serve its layers",
                path="engine",
                fix="use engine vllm",
            )
        self._model, self._modules = model, list(model.modules())
        if self._batch is None:
            with self._sampling():
                self._try_decoding(model)
            self._batch = Batch(
                stop_ids=self._context.stop_ids, max_slots=self._max_batch, device=model.device
            )

    def _try_decoding(self, model: "PreTrainedModel") -> None:
        """Refuse a model whose third token has other log-probs with the cache than without.

        The cache has room for one key of each layer and token; some models compute more.
        """
        ids, places = torch.arange(1, 4, device=model.device), torch.arange(3, device=model.device)
        whole = self._forward(ids, places, packing_of([3], model.device), places[2:])
        recording = KVRecording(packing=packing_of([2], model.device))
        self._forward(ids[:2], places[:2], recording, places[1:2])
        cache = SlotCache()
        cache.fill(recording, [0], 0)
        layout = cache.decoding(np.array([2]), model.device)
        decoded = self._forward(ids[2:], layout.lengths, layout, None)
        gap = float((decoded.log_softmax(-1) - whole.log_softmax(-1)).abs().mean())
        if gap > (1e-3 if model.dtype == torch.float32 else 0.1):  # NaN weights end it later
            raise RecipeError.of(
                f"engine hf cannot decode a {type(model).__name__}: its log-probs with a cache are "
                f"{gap:.2g} nats from those without",
                path="engine",
                fix="use engine vllm",
            )

    async def _drive(self, batch: Batch) -> None:
        """Step the batch until it is empty; other tasks run between steps."""
        try:
            while not batch.is_empty:
                with self._sampling():
                    complete = batch.step(self._forward, self._version)
                for request in complete:
                    if not self._futures[request].done():  # else its caller was cancelled just now
                        self._futures[request].set_result(None)
                await asyncio.sleep(0)
        except Exception as error:  # whatever it was, the batch is lost
            self._end(f"the hf engine failed while decoding: {error!r}", error)

    def _forward(
        self, ids: Tensor, positions: Tensor, layout: Layout, scored: Tensor | None
    ) -> Tensor:
        """Logits [K, V] f32 of the tokens `scored`, or of all."""
        assert self._model is not None
        output = self._model(
            input_ids=ids[None],
            position_ids=positions[None],
            use_cache=False,
            packing=layout,
            logits_to_keep=0 if scored is None else scored,
        )
        logits: Tensor = output.logits[0].float()
        return logits

    @contextmanager
    def _sampling(self) -> Iterator[None]:
        """Evaluation mode without gradients; afterwards every module is as it was."""
        training = [module for module in self._modules if module.training]
        for module in training:
            module.training = False
        try:
            with torch.inference_mode():
                yield
        finally:
            for module in training:
                module.training = True

    def _check_open(self) -> None:
        if self._ended:
            raise EngineDied(self._ended) from self._cause

    def _end(self, why: str, cause: Exception | None = None) -> None:
        """Fail every pending and later call; the first reason stays."""
        if not self._ended:
            self._ended, self._cause = why, cause
        for future in self._futures.values():
            if not future.done():
                died = EngineDied(why)
                died.__cause__ = cause
                future.set_exception(died)


def _replica(folder: Path, dtype: str) -> "PreTrainedModel":
    """The folder's model, on the accelerator where there is one."""
    from transformers import AutoModelForCausalLM

    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    if supports(loaded):  # else `_adopt` refuses it, with the reason
        loaded.set_attn_implementation(ATTENTION)
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    return loaded.to(device).eval()
