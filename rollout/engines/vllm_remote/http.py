"""Requests to vLLM servers, on the background loop: answers and deadlines are never late there.

Every call has a deadline. Only sampling is tried again after a broken connection: it changes
nothing on the server, and the same seed draws the same tokens.
"""

import asyncio
import json
from collections.abc import Callable, Sequence

from recipes.slots.spec import JSON
from rewards.http.client import HttpClient, HttpTimeout, HttpUnreachable
from rollout.types import EngineDied, EngineError

_ATTEMPTS = 3
_PAUSE_S = 0.5
_SETTLE_S = 1.0  # until a guard has seen that its server ended, and the end can be quoted
_NOT_FINITE = "not JSON compliant"  # how vLLM refuses to send a log-prob that is no number
_EXCERPT = 500  # characters of a server's own words


class Servers:
    """Several servers of the same model; use it on the background loop only.

    end: what is known of a launched server that ended; nothing while all run
    request_s, control_s: deadlines of one sampling request, and of one call that controls a server
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        end: Callable[[], str],
        request_s: float,
        control_s: float,
    ) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._end = end
        self._request_s = request_s
        self._control_s = control_s
        self._client = HttpClient()

    async def sample(self, url: str, body: JSON) -> JSON:
        """The only choice of `/inference/v1/generate`.

        Raises EngineError for a refused or late request, EngineDied for a server that is gone.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = await self._call(
                    "POST", f"{url}/inference/v1/generate", body, sampling=True
                )
                return answer["choices"][0]
            except ConnectionError as error:
                if attempt == _ATTEMPTS or self._end():
                    raise self._died(url, error) from error
                await asyncio.sleep(_PAUSE_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def get(self, url: str, path: str) -> JSON:
        """One server's answer to a question. Raises EngineDied."""
        return await self._control("GET", url, path, None)

    async def post(self, url: str, path: str, body: JSON = None) -> JSON:
        """One order to one server, never given twice. Raises EngineDied."""
        return await self._control("POST", url, path, body)

    async def all_get(self, path: str) -> list[JSON]:
        return await asyncio.gather(*(self.get(url, path) for url in self.urls))

    async def all_post(self, path: str, bodies: Sequence[JSON] = ()) -> list[JSON]:
        """An order to every server at the same time; `bodies` has one for each, or is empty."""
        each = bodies or [None] * len(self.urls)
        pairs = zip(self.urls, each, strict=True)
        return await asyncio.gather(*(self.post(url, path, body) for url, body in pairs))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _control(self, method: str, url: str, path: str, body: JSON) -> JSON:
        try:
            return await self._call(method, f"{url}{path}", body)
        except ConnectionError as error:
            await asyncio.sleep(_SETTLE_S)
            raise self._died(url, error) from error
        except EngineError as error:
            raise self._died(url, error) from error

    def _died(self, url: str, error: Exception) -> EngineDied:
        return EngineDied(self._end() or f"the vLLM server at {url} fails: {error}")

    async def _call(self, method: str, url: str, body: JSON, *, sampling: bool = False) -> JSON:
        """The JSON that comes back, or None for an answer without.

        Raises ConnectionError, EngineError (refused, late) and EngineDied (status 500 and above,
        log-probs that are no numbers).
        """
        limit = self._request_s if sampling else self._control_s
        try:
            answer = await self._client.send(method, url, body, timeout_s=limit)
        except HttpTimeout as error:
            raise EngineError(f"{url}: no answer within {limit:g} s") from error
        except HttpUnreachable as error:
            raise ConnectionError(f"{url}: {error}") from error
        text = answer.text
        if answer.status >= 500:
            why = self._end() or f"{url} answers {answer.status}: {text[:_EXCERPT]}"
            raise EngineDied(why)
        if answer.status >= 400 and _NOT_FINITE in text:
            raise EngineDied(f"{url}: the model's logits are not finite ({text[:_EXCERPT]})")
        if answer.status >= 400:
            raise EngineError(f"{url} answers {answer.status}: {text[:_EXCERPT]}")
        return json.loads(text) if answer.content_type == "application/json" else None
