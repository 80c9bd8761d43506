"""From what a recipe says to servers that answer and can be used: the connection of an engine."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from rewards.background import LoopTasks
from rollout.engines.vllm_remote.flight import Flight
from rollout.engines.vllm_remote.http import Servers
from rollout.engines.vllm_remote.launch import Children, LaunchSpec, launch
from rollout.engines.vllm_remote.push import Backend, Named, Push, in_thread, make_push
from rollout.generation import EngineContext
from rollout.types import EngineDied

_REQUESTS = 512  # under way at one server; more sockets would meet the usual limit of open files
_CLOSE_S = 10.0
_CONTROL_S = 120.0  # a pause waits for a step of the model, not for a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the servers are and how weights reach them, as the recipe says."""

    urls: Sequence[str]
    launched: LaunchSpec | None
    backend: Backend
    address: str  # of this process, as servers reach it
    request_s: float
    silence_s: float
    push_s: float
    key: str  # of the servers at `urls`; launched ones get their own


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Servers that answered once, and what is on its way to them."""

    tasks: LoopTasks
    children: Children | None
    servers: Servers
    flight: Flight
    push: Push

    @classmethod
    async def open(cls, site: Site, context: EngineContext) -> "Connection":
        """Launch servers where asked, and look at what they are. Raises RecipeError, EngineDied."""
        children = None
        if site.launched is not None:
            children = await launch(site.launched, context, site.backend)
        tasks = LoopTasks()
        servers = Servers(
            children.urls if children else site.urls,
            end=lambda: children.end if children else "",
            words=lambda url: children.words(url) if children else "",
            key=children.key if children else site.key,
            request_s=site.request_s,
            silence_s=site.silence_s,
            control_s=max(_CONTROL_S, site.push_s),
        )
        try:
            await tasks.run(check_servers(servers, context, site.backend))
            flight = Flight(servers, context.stop_ids, _REQUESTS)
            flight.open(0, None)  # the folder's own weights
            push = make_push(
                site.backend, tasks, servers, address=site.address, timeout_s=site.push_s
            )
        except BaseException:
            tasks.cancel()
            tasks.submit(servers.close()).result(timeout=_CLOSE_S)
            if children:
                children.close()
            raise
        return cls(tasks=tasks, children=children, servers=servers, flight=flight, push=push)

    async def push_weights(self, named: Named, version: int) -> None:
        """Ground all samples, replace all weights, go on. On the loop; raises EngineDied."""
        await self.flight.ground()
        await asyncio.wrap_future(in_thread(lambda: self.push(named, version)))
        told = {
            str(answer["weight_version"]) for answer in await self.servers.all_get("/weight_info")
        }
        if told != {str(version)}:
            raise EngineDied(f"the servers hold versions {sorted(told)} after a push of {version}")
        await self._resume(version, None)

    async def push_adapter(self, folder: Path, version: int) -> None:
        """Ground all samples, load the adapter under a new name, forget the old, go on."""
        await self.flight.ground()
        name, old = f"policy-v{version}", self.flight.model
        body = {"lora_name": name, "lora_path": str(folder.resolve())}
        count = len(self.servers.urls)
        if old == name:  # the same version again, after a resume: never two under one name
            await self.servers.all_post("/v1/unload_lora_adapter", [{"lora_name": old}] * count)
            old = None
        await self.servers.all_post("/v1/load_lora_adapter", [body] * count)
        if old is not None:
            await self.servers.all_post("/v1/unload_lora_adapter", [{"lora_name": old}] * count)
        await self._resume(version, name)

    async def _resume(self, version: int, model: str | None) -> None:
        for answer in await self.servers.all_post("/reset_prefix_cache"):
            if not answer["success"]:
                raise EngineDied("a server's prefix cache still holds blocks of the old weights")
        await self.servers.all_post("/resume")
        self.flight.open(version, model)

    def close(self) -> None:
        """End the requests and the launched servers."""
        self.tasks.cancel()
        self.tasks.submit(self.servers.close()).result(timeout=_CLOSE_S)
        if self.children is not None:
            self.children.close()


async def check_servers(servers: Servers, context: EngineContext, backend: Backend) -> None:
    """Raises RecipeError where a server was started with settings that would mislead training."""
    wanted: dict[str, JSON] = {
        "model_config.logprobs_mode": "processed_logprobs",
        "model_config.dtype": f"torch.{context.dtype}",
    }
    if not context.max_lora_rank:
        wanted["weight_transfer_config.backend"] = backend
    for url in servers.urls:
        try:
            info = (await servers.get(url, "/server_info?config_format=json"))["vllm_config"]
        except EngineDied as error:
            raise RecipeError.of(
                f"no vLLM server in development mode answers at {url} ({error})",
                path="engine.urls",
                fix="start it with VLLM_SERVER_DEV_MODE=1, as docs/many-gpus.md shows",
            ) from error
        wrong: list[str] = []
        for path, value in wanted.items():
            actual: JSON = info
            for key in path.split("."):
                actual = actual.get(key) if isinstance(actual, dict) else None
            if actual != value:
                wrong.append(f"{path} is {actual}, not {value}")
        longest = info["model_config"]["max_model_len"]
        if longest < context.context_length:
            wrong.append(f"max_model_len is {longest}, below {context.context_length}")
        if wrong:
            raise RecipeError.of(
                f"the server at {url} does not fit this recipe: {'; '.join(wrong)}",
                path="engine.urls",
                fix="start it as docs/many-gpus.md shows",
            )
