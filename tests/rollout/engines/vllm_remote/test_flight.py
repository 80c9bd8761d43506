"""Requests are shared out over servers by what each has to do."""

import asyncio

from rollout.engines.vllm_remote.flight import Flight
from rollout.engines.vllm_remote.http import Servers
from rollout.types import Sampling
from tests.support.models import END

SHORT = [5, 6, 7, 8]


class Recording(Servers):
    """Servers that answer each request with one end token once `opened`, and note who was asked."""

    def __init__(self):
        none = {"request_s": 1, "control_s": 1, "silence_s": 1}
        super().__init__(["a", "b"], end=str, words=str, key="", **none)
        self.asked = []
        self.opened = asyncio.Event()

    async def sample(self, url, body):
        self.asked.append(url)
        await self.opened.wait()
        logprobs = {"content": [{"logprob": -1.0}]}
        return {"token_ids": [END], "logprobs": logprobs, "finish_reason": "stop"}


def flying(count):
    from rollout.engines.vllm_embedded.samples import FlyingSample

    return [
        FlyingSample(prompt=SHORT, sampling=Sampling(max_tokens=4), index=i, limit=4, stops=None)
        for i in range(count)
    ]


def test_a_call_goes_whole_to_the_server_with_least_to_do():
    async def run():
        servers = Recording()
        flight = Flight(servers, (END,), 64)
        flight.open(1, None)
        calls = []
        for count in (3, 1, 1, 2):  # a: 3; b: 1, 2, 4
            calls.append(asyncio.create_task(flight.fly(flying(count))))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        servers.opened.set()
        await asyncio.gather(*calls)
        return servers.asked

    assert asyncio.run(run()) == [*"aaa", "b", "b", *"bb"]
