"""Requests to vLLM servers, on the background loop: answers and deadlines are never late there.

Every call has a deadline. Only sampling is tried again after a broken connection: it changes
nothing on the server, and the same seed draws the same tokens.

A sample may take an hour, so a server that owes one is asked for a sign of life meanwhile. The
question goes to its API process and on to its engine: either may have stopped without closing a
connection. The engine answers between two steps of the model.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

from recipes.slots.spec import JSON
from rewards.http.client import HttpClient, HttpTimeout, HttpUnreachable
from rollout.engines.vllm_remote.key import header
from rollout.types import EngineDied, EngineError

_ATTEMPTS = 3
_PAUSE_S = 0.5
_ALIVE = "/is_sleeping"  # answered by the engine, whatever it does
_PULSE_S = 5.0  # between two signs of life
_SETTLE_S = 1.0  # until a guard has seen that its server ended, and the end can be quoted
_NOT_FINITE = "not JSON compliant"  # how vLLM refuses to send a log-prob that is no number
_EXCERPT = 500  # characters of a server's own words


class _Late(EngineError):
    """No answer before the deadline."""


class Servers:
    """Several servers of the same model; use it on the background loop only.

    end: what is known of a launched server that ended; nothing while all run
    words: what is known of the server at an address
    key: what every request carries
    request_s, control_s: deadlines of one sampling request, and of one call that controls a server
    silence_s: without a sign of life, after which a server that owes a sample counts as frozen
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        end: Callable[[], str],
        words: Callable[[str], str],
        key: str,
        request_s: float,
        control_s: float,
        silence_s: float,
    ) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._end = end
        self._words = words
        self._request_s = request_s
        self._control_s = control_s
        self._silence_s = min(silence_s, max(request_s - _PULSE_S, _PULSE_S))
        self._pulse_s = min(_PULSE_S, self._silence_s / 4)
        self._alive_at = dict.fromkeys(self.urls, 0.0)
        self._asking = {url: asyncio.Lock() for url in self.urls}
        self._client = HttpClient(headers=header(key))

    async def sample(self, url: str, body: JSON) -> JSON:
        """The only choice of `/inference/v1/generate`.

        Raises EngineError for a refused or late request, EngineDied for a server that is gone.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._watched(url, body)
            except ConnectionError as error:
                if attempt == _ATTEMPTS or self._end():
                    raise self._died(url, error) from error
                await asyncio.sleep(_PAUSE_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _watched(self, url: str, body: JSON) -> JSON:
        """One request for a sample; EngineDied where its server freezes meanwhile."""
        path = f"{url}/inference/v1/generate"
        request = asyncio.ensure_future(self._call("POST", path, body, self._request_s))
        try:
            while not request.done():
                await asyncio.wait([request], timeout=self._pulse_s)
                if not request.done() or isinstance(request.exception(), _Late):
                    await self._sign_of_life(url)
        finally:
            request.cancel()
        answer = request.result()
        self._alive_at[url] = time.monotonic()
        return answer["choices"][0]

    async def _sign_of_life(self, url: str) -> None:
        """Raises EngineDied where a server gives none; one question at a time is enough."""
        async with self._asking[url]:
            if time.monotonic() - self._alive_at[url] < self._pulse_s:
                return
            try:
                await self._call("GET", f"{url}{_ALIVE}", None, self._silence_s)
            except _Late as error:
                what = (
                    f"the vLLM server at {url} is frozen: its connections are open, and it gave "
                    f"no sign of life for {self._silence_s:g} s"
                )
                raise EngineDied("\n".join(filter(None, [what, self._words(url)]))) from error
            except ConnectionError as error:
                await asyncio.sleep(_SETTLE_S)
                raise self._died(url, error) from error
            self._alive_at[url] = time.monotonic()

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
            return await self._call(method, f"{url}{path}", body, self._control_s)
        except ConnectionError as error:
            await asyncio.sleep(_SETTLE_S)
            raise self._died(url, error) from error
        except EngineError as error:
            raise self._died(url, error) from error

    def _died(self, url: str, error: Exception) -> EngineDied:
        known = self._words(url)
        what = self._end() or f"the vLLM server at {url} fails: {error}"
        return EngineDied(what if known in what else f"{what}\n{known}")

    async def _call(self, method: str, url: str, body: JSON, limit: float) -> JSON:
        """The JSON that comes back, or None for an answer without.

        Raises ConnectionError, EngineError (refused, late) and EngineDied (status 500 and above,
        log-probs that are no numbers).
        """
        try:
            answer = await self._client.send(method, url, body, timeout_s=limit)
        except HttpTimeout as error:
            raise _Late(f"{url}: no answer within {limit:g} s") from error
        except HttpUnreachable as error:
            raise ConnectionError(f"{url}: {error}") from error
        text = answer.text
        if answer.status >= 500:
            server = next((u for u in self.urls if url.startswith(u)), url)
            raise self._died(server, EngineError(f"it answers {answer.status}: {text[:_EXCERPT]}"))
        if answer.status >= 400 and _NOT_FINITE in text:
            raise EngineDied(f"{url}: the model's logits are not finite ({text[:_EXCERPT]})")
        if answer.status == 401:
            raise EngineDied(f"{url} refuses the key that it was given")
        if answer.status >= 400:
            raise EngineError(f"{url} answers {answer.status}: {text[:_EXCERPT]}")
        return json.loads(text) if answer.content_type == "application/json" else None
