"""vLLM servers in processes of their own, on this machine or on others: the engine of many ranks.

    rank 0: generate() --token ids over HTTP--> server 1, server 2, ... --ids and log-probs--> back
            load_weights() --ground all samples--> push over gloo or NCCL --> they go on

Requests in flight at a push are aborted and continued from prompt and tokens so far, under the new
weights: no token is computed on a cache of the old ones. See `vllm_remote/flight.py`.

Whoever may send requests to a server controls it: pause, new weights, any worker method. Launched
servers listen on the loopback interface and take a random key; run others with a key of your own,
on a private network.
"""

import asyncio
import functools
import re
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Seconds
from rewards.http.endpoint import secret
from rollout.engines import engine
from rollout.engines.vllm_embedded.samples import FlyingSample
from rollout.engines.vllm_remote.connect import Connection, Site
from rollout.engines.vllm_remote.launch import LaunchSpec
from rollout.engines.vllm_remote.push import Backend
from rollout.generation import NO_ROOM, Engine, EngineContext, WeightSource, check_prompt
from rollout.types import Completion, EngineDied, Sampling

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class VllmServerEngine:
    """An Engine over servers that are launched, or looked for, on first use."""

    def __init__(self, context: EngineContext, site: Site) -> None:
        self._context = context
        self._site = site
        self._connection: Connection | None = None
        self._starting = asyncio.Lock()
        self._ended = ""  # why no call can be served any more
        self._cause: Exception | None = None

    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        """`n` completions; a prompt that fills the context gives empty ones that end with LENGTH.

        Samples are requests of their own at one server, whose prefix cache computes their prompt
        once.
        """
        connection = await self._connected()
        check_prompt(prompt_ids, _text_config(self._context.folder).vocab_size)
        limit = self._context.room(prompt_ids, sampling)
        if limit <= 0 or n == 0:
            return [NO_ROOM] * n
        stops = self._context.stop_strings(sampling)
        samples = [
            FlyingSample(
                prompt=list(prompt_ids), sampling=sampling, index=i, limit=limit, stops=stops
            )
            for i in range(n)
        ]
        await self._guarded(connection, connection.flight.fly(samples))
        return [sample.completion for sample in samples if sample.completion is not None]

    async def load_weights(self, weights: WeightSource, version: int) -> None:
        """Push all weights, or the version's adapter where the engine was made for adapters.

        A tied head goes by its embedding alone: some models refuse to hear of it twice.
        """
        connection = await self._connected()
        if self._context.max_lora_rank:
            folder = weights.adapter_folder(version)
            assert folder is not None, "an engine made for adapters, and weights without one"
            await self._guarded(connection, connection.push_adapter(folder, version), version)
            return
        tied = _text_config(self._context.folder).tie_word_embeddings
        try:
            named = [
                (name, tensor.detach())
                for name, tensor in weights.named_tensors()
                if not (tied and name.endswith("lm_head.weight"))
            ]
        except Exception as error:  # nothing was sent yet, but the run has no policy
            raise self._end(f"version {version} could not be read: {error!r}", error) from error
        await self._guarded(connection, connection.push_weights(named, version), version)

    async def close(self) -> None:
        """End launched servers, leave others as they are; pending calls fail."""
        self._end("the vllm_server engine is closed", None)
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)

    async def _connected(self) -> Connection:
        async with self._starting:
            self._check_open()
            if self._connection is None:
                self._connection = await Connection.open(self._site, self._context)
            return self._connection

    async def _guarded(
        self, connection: Connection, work: Coroutine[None, None, None], version: int | None = None
    ) -> None:
        """Wait for `work` on the background loop; once one call finds them dead, all calls do."""
        try:
            await connection.tasks.run(work)
        except EngineDied as error:
            raise self._end(str(error), error) from error
        except asyncio.CancelledError:
            self._check_open()  # closed meanwhile: the caller was not the one who cancelled
            raise
        except Exception as error:
            if version is None:
                raise
            why = f"the servers did not take version {version}: {error!r}"
            raise self._end(why, error) from error

    def _check_open(self) -> None:
        if self._ended:
            raise EngineDied(self._ended) from self._cause

    def _end(self, why: str, cause: Exception | None) -> EngineDied:
        """Fail every later call; the first reason stays."""
        if not self._ended:
            self._ended, self._cause = why, cause
        return EngineDied(self._ended)


@functools.cache
def _text_config(folder: Path) -> "PretrainedConfig":
    """The model's configuration, read once."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder).get_text_config()


def _one_place(*, urls: Sequence[str], launch: LaunchSpec | None, **others: object) -> None:
    """Raises RecipeError unless the servers are either somewhere or to be launched."""
    if bool(urls) == (launch is not None):
        raise RecipeError.of(
            "urls and launch are both given" if urls else "neither urls nor launch is given",
            fix="give the addresses of running servers as urls, or say under launch how to start "
            "them on this machine (`launch: {}` on a CPU)",
        )
    for url in urls:
        if not re.fullmatch(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?(/\S*)?", url):
            raise RecipeError.of(
                f"'{url}' is not an address", path="urls", fix="write it as http://host:port"
            )


@engine.register(validate=_one_place)
def vllm_server(
    context: EngineContext,
    *,
    urls: Annotated[
        tuple[str, ...], Field(description="URLs of running servers of the same model")
    ] = (),
    launch: Annotated[
        LaunchSpec | None, Field(description="Servers to start on this machine, in place of `urls`")
    ] = None,
    api_key_env: Annotated[
        str,
        Field(
            description="Environment variable that holds the key of the servers at `urls`; empty: "
            "they take requests without one"
        ),
    ] = "",
    transfer: Annotated[
        Literal["auto", "gloo", "nccl"],
        Field(
            description="Transport of the weights; auto: nccl if the trainer has a GPU, else gloo"
        ),
    ] = "auto",
    address: Annotated[
        str, Field(description="Address of the trainer's first process, as the servers reach it")
    ] = "127.0.0.1",
    request_timeout_s: Annotated[
        Seconds,
        Field(gt=0, description="Time limit of one sample in seconds, after which it is lost"),
    ] = 3600.0,
    silence_timeout_s: Annotated[
        Seconds,
        Field(
            gt=0,
            description="Seconds without a sign of life after which a server that owes a sample "
            "counts as frozen and the run ends",
        ),
    ] = 120.0,
    push_timeout_s: Annotated[
        Seconds,
        Field(gt=0, description="Time limit for all servers to load new weights, in seconds"),
    ] = 600.0,
) -> Engine:
    """vLLM in processes of its own, whatever the number of the trainer's.

    Unlike `vllm` it samples while the trainer computes, on other GPUs or nodes, and serves a
    trainer of many processes. Weights go from memory to memory; a request in flight at a push goes
    on under the new ones, each token stamped with the version it was drawn from.
    """
    fastest: Backend = "nccl" if torch.cuda.is_available() else "gloo"
    site = Site(
        urls=urls,
        launched=launch,
        backend=fastest if transfer == "auto" else transfer,
        address=address,
        request_s=request_timeout_s,
        silence_s=silence_timeout_s,
        key=secret(api_key_env) if api_key_env else "",
        push_s=push_timeout_s,
    )
    return VllmServerEngine(context, site)
