"""The client of all HTTP that this process sends: to models that judge, and to vLLM servers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewards.types import JSON

if TYPE_CHECKING:
    import aiohttp

_NO_HEADERS: Mapping[str, str] = {}


class HttpTimeout(Exception):
    """No whole response within the limit."""


class HttpUnreachable(Exception):
    """The connection could not be made, or broke before the response was whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What a server answered, whatever its status."""

    status: int
    text: str
    content_type: str
    headers: Mapping[str, str]  # by lower-case name


class HttpClient:
    """Connections to one or more servers; use it on one loop only.

    headers: sent with every request
    use_proxy: whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY are followed
    """

    def __init__(
        self, *, headers: Mapping[str, str] = _NO_HEADERS, use_proxy: bool = False
    ) -> None:
        self._headers = dict(headers)
        self._use_proxy = use_proxy
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: str, body: JSON = None, *, timeout_s: float
    ) -> HttpResponse:
        """One request; redirects are not followed. Raises HttpTimeout, HttpUnreachable."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # who calls limits what is under way
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                trust_env=self._use_proxy,
            )
        limit = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(
                method, url, json=body, timeout=limit, allow_redirects=False
            ) as response:
                return HttpResponse(
                    status=response.status,
                    text=await response.text(errors="replace"),
                    content_type=response.content_type,
                    headers={name.lower(): value for name, value in response.headers.items()},
                )
        except TimeoutError as error:
            raise HttpTimeout(f"no reply within {timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise HttpUnreachable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
