"""Every path of a server asks for the key."""

import asyncio

import pytest

from rollout.engines.vllm_remote.key import RequireKey, header

BEARER = [(b"authorization", b"Bearer sesame")]


def ask(monkeypatch, kind, headers):
    """What the application saw, and what was sent back."""
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    async def send(message):
        sent.append(message)

    asyncio.run(RequireKey(app)({"type": kind, "path": "/pause", "headers": headers}, None, send))
    return reached, sent


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_key_opens_every_path(monkeypatch, kind):
    assert ask(monkeypatch, kind, [(b"host", b"x"), *BEARER]) == ([kind], [])


@pytest.mark.parametrize(
    "headers", [[], [(b"authorization", b"Bearer Sesame")], [(b"authorization", b"sesame")]]
)
def test_no_key_and_another_key_are_refused(monkeypatch, headers):
    reached, sent = ask(monkeypatch, "http", headers)
    assert reached == [] and sent[0]["status"] == 401
    reached, sent = ask(monkeypatch, "websocket", headers)
    assert reached == [] and sent == [{"type": "websocket.close", "code": 1008}]


def test_the_servers_own_start_needs_no_key(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    asyncio.run(RequireKey(app)({"type": "lifespan"}, None, None))
    assert reached == ["lifespan"]


def test_a_request_without_a_key_carries_none():
    assert header("") == {}
    assert header("sesame") == {"Authorization": "Bearer sesame"}
