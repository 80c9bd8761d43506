"""Requests to vLLM servers, on an event loop in a thread of its own.

    trainer's loop --run(coroutine)--> this loop --HTTP--> servers
    (busy for minutes in an update)    (answers, and deadlines, are never late)

Every call has a deadline. Only sampling is tried again after a broken connection: it changes
nothing on the server, and the same seed draws the same tokens.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from recipes.slots.spec import JSON
from rollout.types import EngineDied, EngineError

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

_ATTEMPTS = 3
_PAUSE_S = 0.5
_SETTLE_S = 1.0  # until a guard has seen that its server ended, and the end can be quoted
_NOT_FINITE = "not JSON compliant"  # how vLLM refuses to send a log-prob that is no number
_EXCERPT = 500  # characters of a server's own words


class Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="vllm-servers", daemon=True
        )
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start `work` on this loop, from any thread but its own."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work` on the caller's loop; a caller that is cancelled cancels it."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Cancel what is under way and end the thread."""
        self.submit(_cancel_others()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Servers:
    """Several servers of the same model; use it on its loop only.

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
        self._session: aiohttp.ClientSession | None = None

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
        if self._session is not None:
            await self._session.close()

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
        import aiohttp

        limit = self._request_s if sampling else self._control_s
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        timeout = aiohttp.ClientTimeout(total=limit)
        try:
            async with self._session.request(method, url, json=body, timeout=timeout) as answer:
                text = await answer.text()
                status = answer.status
        except TimeoutError as error:
            raise EngineError(f"{url}: no answer within {limit:g} s") from error
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{url}: {type(error).__name__}: {error}") from error
        if status >= 500:
            why = self._end() or f"{url} answers {status}: {text[:_EXCERPT]}"
            raise EngineDied(why)
        if status >= 400 and _NOT_FINITE in text:
            raise EngineDied(f"{url}: the model's logits are not finite ({text[:_EXCERPT]})")
        if status >= 400:
            raise EngineError(f"{url} answers {status}: {text[:_EXCERPT]}")
        return json.loads(text) if answer.content_type == "application/json" else None
