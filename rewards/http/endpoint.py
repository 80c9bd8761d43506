"""JSON over HTTP to a model server: a turn, a limit of requests a second, retries, a deadline.

    post(route, body):  wait for a turn -> [ attempt -> pause -> attempt ... ] -> reply
                        not counted        at most `deadline_s` in all

408, 409, 425, 429, 5xx, broken connections, time-outs and replies that are no JSON are tried again,
after a pause that doubles, or as long as the server's Retry-After asks. Other statuses are final.

A key is named by its environment variable, read late and never shown. Workers and sandboxes do not
inherit it: they see only variables that say where things lie. What this does not protect against:
code in this process can read the environment as it likes.
"""

import asyncio
import json
import os
import random
import re
import time
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from recipes.errors import RecipeError
from recipes.slots.spec import JSON, Amount, AtOnce, Count, Duration, NotHashed, Spec
from rewards.background import background
from rewards.http.client import HttpClient, HttpTimeout, HttpUnreachable
from rewards.http.usage import meters

_AGAIN = (408, 409, 425, 429)  # and everything from 500
_REFUSED = (401, 403)
_TOO_LARGE = (400, 413, 422)  # where the server's words name the context, in one of these forms
_CONTEXT = re.compile(
    r"context[_ ](length|size|window)|(prompt|input|request)\W+(is |are )?too long|max_model_len",
    re.IGNORECASE,
)
_EXCERPT = 200  # characters of a server's own words in a reason
_LONGEST_PAUSE_S = 30.0
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class EndpointSpec(Spec):
    """A model behind an address, and how hard it may be asked."""

    url: Annotated[
        str,
        Field(description="Base URL without /chat/completions, such as http://127.0.0.1:8000/v1"),
    ]
    model: Annotated[str, Field(min_length=1, description="Name under which the model is served")]
    api_key_env: Annotated[
        str,
        NotHashed(),
        Field(description="Name of the environment variable with the API key, such as JUDGE_KEY"),
    ] = ""
    deadline_s: Annotated[
        Duration, Field(description="Timeout of one question in seconds, retries included")
    ] = 120.0
    attempt_s: Annotated[
        Duration, Field(description="Timeout of one request in seconds, after which it is retried")
    ] = 60.0
    retries: Annotated[Count, NotHashed(), Field(description="Maximum number of retries")] = 4
    backoff_s: Annotated[
        Duration,
        Field(description="Pause before the first retry in seconds; doubles with each retry"),
    ] = 0.5
    concurrent: Annotated[AtOnce, Field(description="Maximum number of concurrent requests")] = 32
    requests_per_s: Annotated[
        Amount, NotHashed(), Field(description="Maximum requests per second; 0 = unlimited")
    ] = 0.0
    price_in: Annotated[
        Amount,
        NotHashed(),
        Field(description="Price of a million prompt tokens, for the metric `cost`"),
    ] = 0.0
    price_out: Annotated[
        Amount, NotHashed(), Field(description="Price of a million sampled tokens")
    ] = 0.0

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number
            whole = False
        if not whole:
            raise RecipeError.of(
                "not an address that begins with http:// or https://",
                fix="write it like http://127.0.0.1:8000/v1",
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise RecipeError.of(
                "an address with a user, a password or a query",
                fix="name the environment variable that holds the key in api_key_env",
            )
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_key(cls, name: str) -> str:
        if name and not _VARIABLE.fullmatch(name):
            raise RecipeError.of(  # which does not show it: it may be the key itself
                "not the name of an environment variable in capital letters, digits and _",
                fix="put the key into a variable and write the variable's name here",
            )
        if name:
            withhold(name)
        return name

    def refuse_without_key(self) -> None:
        """Raise RecipeError when the key's variable is named but not set."""
        if self.api_key_env:
            secret(self.api_key_env)


class EndpointFailed(Exception):
    """No reply that can be used; the words are safe to show."""

    def __init__(self, words: str, *, too_long: bool = False) -> None:
        super().__init__(scrubbed(words))
        self.too_long = too_long  # the model's context does not hold the request


class _TryAgain(Exception):
    """A failure that may pass; `after_s` is what the server asks for."""

    def __init__(self, words: str, after_s: float = 0.0) -> None:
        super().__init__(words)
        self.after_s = after_s


class Endpoint:
    """Connections to one server; lives on the background loop."""

    def __init__(self, spec: EndpointSpec) -> None:
        key = secret(spec.api_key_env) if spec.api_key_env else ""
        self.spec = spec
        self._turns = asyncio.Semaphore(spec.concurrent)
        self._chance = random.Random()  # its own: the global one belongs to the run
        self._next = 0.0  # when the next request may start, by the loop's clock
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = HttpClient(headers=headers, use_proxy=True)

    @classmethod
    def of(cls, spec: EndpointSpec) -> "Endpoint":
        """The one endpoint with these settings; call it on the background loop."""
        return background().opened(cls, spec, lambda: cls(spec))

    async def post(self, route: str, body: JSON, *, meter: str) -> Any:
        """The reply's JSON; raises EndpointFailed. Counts under `meter`."""
        async with self._turns:
            try:
                return await self._tries(route, body, meter)
            except EndpointFailed:
                meters.add(f"{meter}/failed")
                raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _tries(self, route: str, body: JSON, meter: str) -> Any:
        trouble = "too slow"
        try:
            async with asyncio.timeout(self.spec.deadline_s):
                for attempt in range(self.spec.retries + 1):
                    try:
                        return await self._attempt(route, body, meter)
                    except _TryAgain as error:
                        trouble = str(error)
                        if attempt < self.spec.retries:
                            meters.add(f"{meter}/retries")
                            await asyncio.sleep(self._pause_s(attempt, error.after_s))
        except TimeoutError:
            trouble = f"no reply within {self.spec.deadline_s:g} s; {trouble}"
        raise EndpointFailed(f"{self.spec.url}: {trouble}")

    async def _attempt(self, route: str, body: JSON, meter: str) -> Any:
        await self._pace()
        meters.add(f"{meter}/requests")
        start = time.monotonic()
        url = f"{self.spec.url}{route}"
        try:
            reply = await self._client.send("POST", url, body, timeout_s=self.spec.attempt_s)
        except HttpTimeout as error:
            raise _TryAgain(str(error)) from error
        except HttpUnreachable as error:
            raise _TryAgain(f"cannot be reached ({error})") from error
        meters.observe(f"{meter}/request_s", time.monotonic() - start)
        status = f"HTTP {reply.status}"
        if 200 <= reply.status < 300:
            try:
                return json.loads(reply.text)
            except ValueError as error:
                raise _TryAgain(f"{status} with a reply that is not JSON") from error
        if reply.status in _REFUSED:
            key = f"the key in {self.spec.api_key_env}" if self.spec.api_key_env else "no key"
            raise EndpointFailed(f"{self.spec.url}: {status}, access refused with {key}")
        words = f"{status}: {' '.join(reply.text.split())[:_EXCERPT]}"
        if reply.status in _AGAIN or reply.status >= 500:
            raise _TryAgain(words, _seconds(reply.headers.get("retry-after", "")))
        too_long = reply.status in _TOO_LARGE and _CONTEXT.search(reply.text) is not None
        raise EndpointFailed(f"{self.spec.url}: {words}", too_long=too_long)

    async def _pace(self) -> None:
        """Wait until the limit of requests a second allows one more."""
        if not self.spec.requests_per_s:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + 1 / self.spec.requests_per_s
        await asyncio.sleep(start - now)

    def _pause_s(self, attempt: int, after_s: float) -> float:
        """Doubling from `backoff_s`, up to a half more by chance, so that callers spread out."""
        pause = min(self.spec.backoff_s * 2.0**attempt, _LONGEST_PAUSE_S)
        return max(after_s, pause * self._chance.uniform(1, 1.5))


def _seconds(header: str) -> float:
    """A Retry-After in seconds; 0 for a date or nothing."""
    try:
        return max(0.0, float(header))
    except ValueError:
        return 0.0


# -- keys ------------------------------------------------------------------------------------------

_withheld: set[str] = set()
_SHORTEST = 4  # a shorter value would blot out ordinary words


def withhold(name: str) -> None:
    """Keep the variable's value out of texts."""
    _withheld.add(name)


def secret(name: str) -> str:
    """The value of a variable; RecipeError when it is not set, or cannot be a header's value."""
    withhold(name)
    value = os.environ.get(name, "")
    if not value:
        raise RecipeError.of(
            f"the environment variable {name} is not set",
            fix=f"export {name}=... before the run, or name another variable",
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise RecipeError.of(
            f"the environment variable {name} holds characters that no HTTP header can carry",
            fix="set it to the key alone, without spaces or line breaks",
        )
    return value


def scrubbed(text: str) -> str:
    """`text` without any withheld value, whoever put it there."""
    for name in sorted(_withheld):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"<{name}>")
    return text
