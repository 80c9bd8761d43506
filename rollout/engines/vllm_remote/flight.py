"""Samples on their way at several servers, and the gate that a push closes.

    generate() --least loaded--> server --leg--> tokens, or "aborted"
                                    ^                |
    push: close the gate, pause every server (abort), wait until nobody is out, send weights,
          resume, open the gate --> what was aborted goes on from its own tokens, a new leg

Every token of a leg was sampled between two pushes: the gate's version is the token's. What a
server sampled and could not deliver before the abort is lost and drawn again, whatever it was.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from recipes.slots.spec import JSON
from rollout.engines.vllm_embedded.samples import FlyingSample
from rollout.engines.vllm_remote.http import Servers
from rollout.types import EngineDied, EngineError, Finish

_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH}
_POLL_S = 0.05


class Flight:
    """See the module; lives on the servers' loop.

    most: requests under way at one server; the others wait here, and no deadline runs for them
    """

    def __init__(self, servers: Servers, stop_ids: Sequence[int], most: int) -> None:
        self._servers = servers
        self._stop_ids = list(stop_ids)
        self._free = {url: asyncio.Semaphore(most) for url in servers.urls}
        self._load = Counter[str]()  # samples assigned, by server
        self._out = 0  # requests under way
        self._open = asyncio.Event()
        self._pushes = 0
        self.version = 0
        self.model: str | None = None  # the adapter in use, by vLLM's name

    async def fly(self, samples: Sequence[FlyingSample]) -> None:
        """Finish every sample, all at the server with least to do: it computes the prompt once."""
        url = min(self._servers.urls, key=lambda u: self._load[u])
        self._load[url] += len(samples)
        tasks = [asyncio.create_task(self._finish(url, sample)) for sample in samples]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._load[url] -= len(samples)

    def open(self, version: int, model: str | None) -> None:
        """Sampling may go on, under these weights."""
        self.version, self.model = version, model
        self._pushes += 1
        self._open.set()

    async def ground(self) -> None:
        """Close the gate and bring everything back; the servers stay paused. Raises EngineDied."""
        self._open.clear()
        await self._servers.all_post("/pause?mode=abort&clear_cache=true")
        while self._out:  # a request that reached a server after the pause would sleep there
            await self._servers.all_post("/abort_requests", [{}] * len(self._servers.urls))
            await asyncio.sleep(_POLL_S)

    async def _finish(self, url: str, sample: FlyingSample) -> None:
        while sample.completion is None:
            async with self._free[url]:
                await self._open.wait()
                pushes, version = self._pushes, self.version
                self._out += 1
                try:
                    choice = await self._servers.sample(url, self._body(sample))
                finally:
                    self._out -= 1
            # The leg's tokens are added to their sample, which ends where they say so.
            before = len(sample.ids)
            logprobs = [token["logprob"] for token in choice["logprobs"]["content"]]
            try:
                sample.extend(choice["token_ids"], logprobs, version)
            except FloatingPointError as error:
                raise EngineDied(f"a server failed while sampling: {error}") from error
            finish = _FINISH.get(choice["finish_reason"])
            if sample.leg and sample.cut_at_stop_string(before):
                finish = Finish.STOP
            if finish is None and len(sample.ids) >= sample.limit:
                finish = Finish.LENGTH  # aborted with its last token
            if finish is not None:
                sample.end(finish)
            if sample.completion is None:
                await self._open.wait()
                if self._pushes == pushes:
                    raise EngineError(f"{url}: a request was aborted, and not by a push of weights")
                sample.leg += 1

    def _body(self, sample: FlyingSample) -> JSON:
        """The request for the rest of the sample, token ids in and out."""
        sampling = sample.sampling
        stops: JSON = {"stop": list(sampling.stop)} if sampling.stop else {"detokenize": False}
        return {
            "token_ids": sample.prompt + sample.ids,
            "model": self.model,
            "sampling_params": {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "seed": sample.seed,
                "max_tokens": sample.limit - len(sample.ids),
                "stop_token_ids": self._stop_ids,
                "ignore_eos": True,  # the recipe's stop ids are the ones that count
                "logprobs": 0,  # of the sampled token alone
                **stops,
            },
        }
