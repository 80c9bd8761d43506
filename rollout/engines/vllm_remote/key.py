"""A server that answers to its key alone; runs inside vLLM's API server.

vLLM asks for its key at the paths that users call, not at those that control it: pause, new
weights, any method of its workers. This asks at every path.

    VLLM_API_KEY=... python -m vllm.entrypoints.openai.api_server \\
        --middleware rollout.engines.vllm_remote.key.RequireKey ...
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from secrets import compare_digest
from typing import Any

VARIABLE = "VLLM_API_KEY"
MIDDLEWARE = f"{__name__}.RequireKey"
_REFUSAL = b'{"error": "Unauthorized"}'

Scope = Mapping[str, Any]  # of a request: values of many types, by the key
Receive = Callable[[], Awaitable[object]]
Send = Callable[[Mapping[str, object]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(key: str) -> dict[str, str]:
    """What a request with this key carries; nothing without a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


class RequireKey:
    """ASGI middleware; vLLM makes it when it is named on the command line."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._expected = header(os.environ[VARIABLE])["Authorization"].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if compare_digest(given, self._expected):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            kind = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 401, "headers": kind})
            await send({"type": "http.response.body", "body": _REFUSAL})
