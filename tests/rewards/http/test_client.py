import asyncio

import pytest

from rewards.http.client import HttpClient, HttpTimeout, HttpUnreachable
from tests.support.openai_server import Answer, serve


def send(url, *, timeout_s=5.0, **settings):
    async def one():
        client = HttpClient(**settings)
        try:
            return await client.send("POST", url, {"a": 1}, timeout_s=timeout_s)
        finally:
            await client.close()

    return asyncio.run(one())


def test_a_response_is_given_whatever_its_status():
    answer = Answer(status=503, raw=b"away", headers={"Retry-After": "7"})
    with serve(lambda request: answer) as server:
        response = send(f"{server.url}/x", headers={"Authorization": "Bearer k"})
        [request] = server.requests
    assert (response.status, response.text, response.headers["retry-after"]) == (503, "away", "7")
    assert request.body == {"a": 1} and request.headers["authorization"] == "Bearer k"


def test_a_redirect_is_not_followed():
    elsewhere = Answer(status=307, headers={"Location": "http://127.0.0.1:1/"})
    with serve(lambda request: elsewhere) as server:
        assert send(server.url).status == 307


def test_a_late_response_and_a_broken_connection_are_told_apart():
    with serve(lambda request: Answer(raw=b"{}", delay_s=0.5)) as server:
        with pytest.raises(HttpTimeout, match=r"no reply within 0\.1 s"):
            send(server.url, timeout_s=0.1)
        gone = server.url
    with pytest.raises(HttpUnreachable, match="Error"):
        send(gone)


def test_a_proxy_of_the_environment_is_used_where_it_is_asked_for(monkeypatch):
    with serve(lambda request: Answer(raw=b"by proxy")) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send("http://judge.invalid/v1", use_proxy=True).text == "by proxy"
        with pytest.raises(HttpUnreachable):
            send("http://judge.invalid/v1")
