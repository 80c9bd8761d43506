import asyncio

import pytest

from rollout.engines.vllm_remote.http import Servers
from rollout.types import EngineDied, EngineError
from tests.support.openai_server import Answer, serve

CHOICE = Answer(raw=b'{"choices": [{"token_ids": [3]}]}')


def sample(script, *, end="", request_s=5.0):
    """What one sampling request came to, and how often the server was asked."""

    async def one(url):
        servers = Servers([url], end=lambda: end, request_s=request_s, control_s=5.0)
        try:
            return await servers.sample(url, {"token_ids": [1, 2]})
        finally:
            await servers.close()

    with serve(script) as server:
        result = asyncio.run(asyncio.wait_for(one(server.url), 20))
        return result, [request.path for request in server.requests]


def test_a_sample_is_the_only_choice():
    choice, asked = sample(lambda request: CHOICE)
    assert choice == {"token_ids": [3]}
    assert asked == ["/v1/inference/v1/generate"]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(status=400, raw=b"too long"), EngineError, "answers 400: too long"),
        (Answer(status=400, raw=b"nan is not JSON compliant"), EngineDied, "logits are not finite"),
        (Answer(status=500, raw=b"engine core died"), EngineDied, "answers 500: engine core died"),
        (Answer(raw=b"{}", delay_s=0.5), EngineError, "no answer within 0.1 s"),
    ],
)
def test_a_failure_is_the_requests_or_the_engines(answer, error, words):
    with pytest.raises(error, match=words):
        sample(lambda request: answer, request_s=0.1 if answer.delay_s else 5.0)


def test_the_end_of_a_launched_server_is_quoted_instead_of_its_status():
    with pytest.raises(EngineDied, match="out of memory"):
        sample(lambda request: Answer(status=500), end="vLLM ended: out of memory")
