import asyncio
import dataclasses

import pytest

from rewards.http.chat import AskSpec, Question, ask
from rewards.http.endpoint import EndpointFailed, EndpointSpec
from rewards.http.usage import meters
from rewards.types import Message
from tests.support.openai_server import Answer, serve

QUESTION = Question(
    messages=(Message(role="user", content="is it right?"),), prompt="test/1", ask=AskSpec()
)


def put(server, tmp_path, question=QUESTION, **endpoint):
    """The reply to one question; meters start empty."""
    meters.read()
    spec = EndpointSpec(url=server.url, **{"model": "m", "backoff_s": 0.01, **endpoint})
    return asyncio.run(ask(spec, question, meter="test", cache=str(tmp_path)))


def test_a_request_is_an_openai_chat_completion(tmp_path):
    question = dataclasses.replace(
        QUESTION,
        ask=AskSpec(temperature=0.7, max_tokens=9, seed=5),
        logprobs=True,
        number=2,
        response_format={"type": "json_object"},
    )
    with serve(lambda request: "yes") as server:
        put(server, tmp_path, question)
        [request] = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "is it right?"}],
        "temperature": 0.7,
        "max_tokens": 9,
        "seed": 7,
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "top_logprobs": 20,
    }


def test_extra_keys_are_added_and_null_takes_one_out(tmp_path):
    extra = {"max_tokens": None, "max_completion_tokens": 9, "reasoning_effort": "low"}
    question = dataclasses.replace(QUESTION, ask=AskSpec(extra=extra))
    with serve(lambda request: "yes") as server:
        put(server, tmp_path, question)
        [request] = server.requests
    assert "max_tokens" not in request.body
    assert request.body["max_completion_tokens"] == 9
    assert request.body["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("plain", "plain"),
        ("<think>is it 7? no</think>\n\n8", "8"),
        ("it is 7? no</think>8", "8"),  # the template opened the thinking
        ("<think>never closed", ""),
        ("<think>a</think>b<think>c</think>d", "d"),
    ],
)
def test_thinking_is_not_part_of_what_is_said(tmp_path, said, text):
    with serve(lambda request: said) as server:
        assert put(server, tmp_path).text == text


def test_log_probs_of_the_last_tokens_are_kept(tmp_path):
    tokens = [("so", {"so": -0.1}), (" yes", {" yes": -0.2, " no": -1.7})]
    with serve(lambda request: Answer("so yes", tokens=tokens)) as server:
        first = put(server, tmp_path)
        again = put(server, tmp_path)
    assert [token.text for token in first.tail] == ["so", " yes"]
    assert first.tail[1].alternatives == {" yes": -0.2, " no": -1.7}
    assert again == first  # from the file
    assert len(server.requests) == 1


def test_tokens_and_their_price_are_counted_once(tmp_path):
    with serve(lambda request: Answer("yes", usage=(2000, 100))) as server:
        put(server, tmp_path, price_in=0.5, price_out=2.0)
        counted = meters.read()
        put(server, tmp_path, price_in=0.5, price_out=2.0)
        again = meters.read()
    assert counted["test/tokens_in"] == 2000 and counted["test/tokens_out"] == 100
    assert counted["test/cost"] == pytest.approx(0.0012)  # 2000 x 0.5 and 100 x 2 per million
    assert counted["test/kept_frac"] == 0 and again["test/kept_frac"] == 1
    assert again.keys() == {"test/questions", "test/kept_frac"}


def test_an_endpoint_that_counts_no_tokens_costs_nothing(tmp_path):
    with serve(lambda request: Answer("yes", usage=None)) as server:
        assert put(server, tmp_path, price_in=1.0).text == "yes"
    assert "test/cost" not in meters.read()


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b"3", b'{"choices": []}', b'{"choices": [{"text": "completion"}]}']
)
def test_a_reply_that_is_no_chat_completion_is_a_failure(tmp_path, raw):
    with (
        serve(lambda request: Answer(raw=raw)) as server,
        pytest.raises(EndpointFailed, match="not a chat completion"),
    ):
        put(server, tmp_path)


@pytest.mark.parametrize("extra", [{}, {"seed": None}])
def test_another_number_is_another_question(tmp_path, extra):
    question = dataclasses.replace(QUESTION, ask=AskSpec(extra=extra))
    with serve(lambda request: str(request.number)) as server:
        texts = [
            put(server, tmp_path, dataclasses.replace(question, number=n)).text for n in (0, 1, 0)
        ]
    assert texts == ["0", "1", "0"]


def test_another_prompt_version_or_model_is_another_question(tmp_path):
    with serve(lambda request: str(request.number)) as server:
        first = put(server, tmp_path).text
        other = put(server, tmp_path, dataclasses.replace(QUESTION, prompt="test/2")).text
        renamed = put(server, tmp_path, model="n").text
        again = put(server, tmp_path).text
    assert (first, other, renamed, again) == ("0", "1", "2", "0")
