"""What a server's answer means, and what its silence does."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from rollout.engines.vllm_remote.http import Servers
from rollout.types import EngineDied, EngineError
from tests.support.openai_server import Answer, serve


def sample(script, *, end=""):
    """What one sampling request came to, and how often the server was asked."""

    async def one(url):
        limits = {"request_s": 60.0, "control_s": 5.0, "silence_s": 60.0}
        servers = Servers([url], end=lambda: end, words=str, key="", **limits)
        try:
            return await servers.sample(url, {"token_ids": [1, 2]})
        finally:
            await servers.close()

    with serve(script) as server:
        result = asyncio.run(asyncio.wait_for(one(server.url), 20))
        return result, [request.path for request in server.requests]


def test_a_sample_is_the_only_choice():
    choice, asked = sample(lambda request: Answer(raw=b'{"choices": [{"token_ids": [3]}]}'))
    assert choice == {"token_ids": [3]}
    assert asked == ["/v1/inference/v1/generate"]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(status=400, raw=b"too long"), EngineError, "answers 400: too long"),
        (Answer(status=400, raw=b"nan is not JSON compliant"), EngineDied, "logits are not finite"),
        (Answer(status=500, raw=b"engine core died"), EngineDied, "answers 500: engine core died"),
    ],
)
def test_a_failure_is_the_requests_or_the_engines(answer, error, words):
    with pytest.raises(error, match=words):
        sample(lambda request: answer)


def test_the_end_of_a_launched_server_is_quoted_instead_of_its_status():
    with pytest.raises(EngineDied, match="out of memory"):
        sample(lambda request: Answer(status=500), end="vLLM ended: out of memory")


# -- silence -------------------------------------------------------------------------------------

CHOICE = {"token_ids": [1]}


@asynccontextmanager
async def server(answer):
    """An HTTP server on a free port; `answer(path, headers)` gives status and JSON, or waits."""
    asked = []

    async def talk(reader, writer):
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                head, *lines = request.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines if ": " in line)
                await reader.readexactly(int(headers.get("Content-Length", 0)))
                asked.append(head.split()[1])
                status, body = await answer(asked[-1], headers)
                text = json.dumps(body)
                writer.write(
                    f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked
    finally:
        listening.close()


@asynccontextmanager
async def servers(url, key="sesame", **limits):
    made = Servers(
        [url],
        end=str,
        words=lambda url: "log: server-0.log",
        key=key,
        **{"request_s": 60, "control_s": 60, "silence_s": 0.4, **limits},
    )
    try:
        yield made
    finally:
        await made.close()


async def never(path, headers):
    await asyncio.sleep(600)


async def engine_never(path, headers):
    """The API process answers, the engine behind it does not."""
    return (200, {}) if path == "/health" else await never(path, headers)


@pytest.mark.parametrize("answer", [never, engine_never])
def test_a_frozen_server_is_noticed_long_before_the_requests_deadline(answer):
    async def run():
        async with server(answer) as (url, asked), servers(url) as made:
            calls = [made.sample(url, {}) for _ in range(5)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            return found, asked

    found, asked = asyncio.run(run())
    for error in found:
        assert isinstance(error, EngineDied)
        assert "is frozen" in str(error) and "no sign of life for 0.4 s" in str(error)
        assert "log: server-0.log" in str(error)
    assert asked.count("/inference/v1/generate") == 5


def test_a_slow_sample_of_a_server_that_lives_is_waited_for():
    async def slow(path, headers):
        if "generate" in path:
            await asyncio.sleep(4)
        return 200, {"choices": [CHOICE]}

    async def run():
        async with server(slow) as (url, asked), servers(url, silence_s=4) as made:
            return await asyncio.gather(*(made.sample(url, {}) for _ in range(8))), asked

    found, asked = asyncio.run(run())
    assert found == [CHOICE] * 8
    assert 1 <= asked.count("/is_sleeping") <= 15  # one question for all eight


def test_a_late_sample_of_a_server_that_lives_is_one_lost_sample():
    async def late(path, headers):
        return await never(path, headers) if "generate" in path else (200, {})

    async def run():
        async with server(late) as (url, _), servers(url, request_s=0.3, silence_s=30) as made:
            await made.sample(url, {})

    with pytest.raises(EngineError, match=r"no answer within 0\.3 s"):
        asyncio.run(run())


def test_a_late_sample_of_a_frozen_server_ends_the_engine():
    async def run():
        async with server(never) as (url, _), servers(url, request_s=0.2, silence_s=0.3) as made:
            await made.sample(url, {})

    with pytest.raises(EngineDied, match="is frozen"):
        asyncio.run(run())


def test_every_request_carries_the_key_and_a_refused_key_is_named():
    async def locked(path, headers):
        given = headers.get("Authorization")
        return (200, {"choices": [CHOICE]}) if given == "Bearer sesame" else (401, {})

    async def run(key):
        async with server(locked) as (url, _), servers(url, key=key) as made:
            await made.all_post("/pause")
            return await made.sample(url, {})

    assert asyncio.run(run("sesame")) == CHOICE
    with pytest.raises(EngineDied, match="refuses the key"):
        asyncio.run(run("guessed"))


def test_an_answer_of_a_dead_engine_names_the_servers_log():
    async def dead(path, headers):
        return 500, {"error": "EngineCore encountered an issue. See stack trace above"}

    async def run():
        async with server(dead) as (url, _), servers(url) as made:
            await made.sample(url, {})

    with pytest.raises(EngineDied, match=r"(?s)answers 500: .*log: server-0\.log"):
        asyncio.run(run())
