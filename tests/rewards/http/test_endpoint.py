import asyncio
import os
import time

import pytest

from recipes.errors import RecipeError
from rewards.background import background
from rewards.http.endpoint import (
    Endpoint,
    EndpointFailed,
    EndpointSpec,
    scrubbed,
    secret,
    withhold,
)
from rewards.http.usage import meters
from rewards.verifiers import verifier
from rewards.workers.pool import Workers
from tests.support.openai_server import Answer, serve

GOOD = Answer(raw=b'{"value": 1}')


def spec(url, **options):
    return EndpointSpec(url=url, model="m", **{"backoff_s": 0.01, **options})


def post(endpoint, body=None, *, times=1):
    """What `times` posts at once gave: replies and exceptions. UsageCounters start empty."""

    async def one():
        return await Endpoint.of(endpoint).post("/x", body or {}, meter="test")

    async def all_of_them():
        posts = (background().run(one()) for _ in range(times))
        return await asyncio.gather(*posts, return_exceptions=True)

    meters.read()
    found = asyncio.run(all_of_them())
    return found if times > 1 else found[0]


def test_a_reply_is_its_json_and_the_route_is_below_the_address():
    with serve(lambda request: GOOD) as server:
        assert post(spec(f"{server.url}/")) == {"value": 1}
        assert server.requests[0].path == "/v1/x"
    counted = meters.read()
    assert counted["test/requests"] == 1
    assert counted["test/request_s"] > 0


@pytest.mark.parametrize(
    "failure",
    [
        Answer("busy", status=429, headers={"Retry-After": "0"}),
        Answer("busy", status=429, headers={"Retry-After": "Sat, 21 Nov 2026 07:28:00 GMT"}),
        Answer("broken", status=500),
        Answer("away", status=503),
        Answer("slow", status=408),
        Answer(raw=b"<html>not json</html>"),
        Answer(raw=b"\xff\xfe"),
        Answer(raw=b"no gzip", headers={"Content-Encoding": "gzip"}),
        Answer(raw=b"", delay_s=0.5),  # longer than an attempt may take
    ],
)
def test_what_may_pass_is_tried_again(failure):
    with serve(lambda request: failure if request.number < 2 else GOOD) as server:
        assert post(spec(server.url, attempt_s=0.2)) == {"value": 1}
        assert len(server.requests) == 3
    assert meters.read()["test/retries"] == 2


@pytest.mark.parametrize("status", [400, 404, 413, 422, 301])
def test_what_will_not_pass_is_final(status):
    with serve(lambda request: Answer("context length is 4096", status=status)) as server:
        failed = post(spec(server.url))
        assert isinstance(failed, EndpointFailed)
        assert f"HTTP {status}" in str(failed) and "4096" in str(failed)
        assert len(server.requests) == 1
    assert meters.read()["test/failed"] == 1


def test_retries_run_out_with_the_last_cause():
    with serve(lambda request: Answer("overloaded", status=503)) as server:
        failed = post(spec(server.url, retries=2))
        assert len(server.requests) == 3
    assert "HTTP 503" in str(failed) and "overloaded" in str(failed)


def test_a_server_that_is_down_is_named():
    with serve(lambda request: GOOD) as server:
        gone = server.url
    failed = post(spec(gone, retries=1))
    assert isinstance(failed, EndpointFailed)
    assert gone in str(failed) and "cannot be reached" in str(failed)


def test_the_deadline_holds_over_all_retries():
    with serve(lambda request: Answer("busy", status=429, headers={"Retry-After": "60"})) as server:
        failed = post(spec(server.url, deadline_s=0.3))
    assert "no reply within 0.3 s; HTTP 429" in str(failed)


def test_a_question_that_waits_for_its_turn_does_not_use_up_its_deadline():
    slow = Answer(raw=b'{"value": 1}', delay_s=0.15)
    with serve(lambda request: slow) as server:
        found = post(spec(server.url, concurrent=1, deadline_s=0.5), times=6)  # 0.9 s in all
        assert found == [{"value": 1}] * 6
        assert server.most_at_once == 1


def test_no_more_questions_at_once_than_allowed():
    with serve(lambda request: Answer(raw=b'{"value": 1}', delay_s=0.05)) as server:
        post(spec(server.url, concurrent=3), times=12)
        assert 1 < server.most_at_once <= 3


def test_requests_keep_their_distance():
    with serve(lambda request: GOOD) as server:
        start = time.monotonic()
        post(spec(server.url, requests_per_s=20.0), times=5)
        spent = time.monotonic() - start
    assert spent > 0.19  # four times 50 ms after the first, which leaves at once


def test_a_cancelled_caller_cancels_its_request():
    with serve(lambda request: Answer(raw=b"{}", delay_s=0.3)) as server:
        endpoint = spec(server.url, concurrent=1)

        async def run():
            async def one():
                return await Endpoint.of(endpoint).post("/x", {}, meter="test")

            first = asyncio.create_task(background().run(one()))
            await asyncio.sleep(0.05)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await background().run(one())  # the turn is free again

        assert asyncio.run(run()) == {}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000", "begins with http"),
        ("ftp://host/v1", "begins with http"),
        ("http://host:eighty/v1", "begins with http"),
        ("http://:8000/v1", "begins with http"),
        ("https://me:hunter2@host/v1", "api_key_env"),
        ("https://host/v1?key=hunter2", "api_key_env"),
    ],
)
def test_an_address_with_a_secret_or_without_a_scheme_is_refused(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        spec(url)
    del caught


# -- the key ---------------------------------------------------------------------------------------

KEY = "sk-7f3c2a-very-secret"


def test_the_key_goes_into_the_header_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("TEMPER_TEST_KEY", KEY)
    with serve(lambda request: GOOD) as server:
        endpoint = spec(server.url, api_key_env="TEMPER_TEST_KEY")
        post(endpoint)
        [request] = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.body)
    assert KEY not in f"{endpoint!r} {endpoint.model_dump()}"


@pytest.mark.parametrize("status", [401, 403, 400, 500])
def test_a_server_that_repeats_the_key_does_not_bring_it_into_a_reason(monkeypatch, status):
    monkeypatch.setenv("TEMPER_TEST_KEY", KEY)
    with serve(lambda request: Answer(f"bad key {KEY}", status=status)) as server:
        failed = post(spec(server.url, api_key_env="TEMPER_TEST_KEY", retries=0))
    assert KEY not in str(failed)
    assert "TEMPER_TEST_KEY" in str(failed)


def test_a_key_that_is_not_set_is_the_users_mistake(monkeypatch):
    monkeypatch.delenv("TEMPER_NO_KEY", raising=False)
    endpoint = spec("http://127.0.0.1:1/v1", api_key_env="TEMPER_NO_KEY")
    with pytest.raises(RecipeError, match="TEMPER_NO_KEY is not set"):
        endpoint.refuse_without_key()


@pytest.mark.parametrize("end", ["\n", " ", "\u2026"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(monkeypatch, end):
    monkeypatch.setenv("TEMPER_TEST_KEY", f"{KEY}{end}")
    with pytest.raises(RecipeError, match="no HTTP header") as caught:
        secret("TEMPER_TEST_KEY")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-1234abcd", "hf_1234abcd", "1234ABCD"])
def test_a_key_that_is_written_where_its_name_belongs_is_refused_without_showing_it(key):
    options = {"url": "http://127.0.0.1:1/v1", "model": "m", "api_key_env": key}
    with pytest.raises(RecipeError, match=r"endpoint\.api_key_env: not the name") as caught:
        verifier.bind({"name": "judge", "endpoint": options})
    assert key not in str(caught.value)


def test_a_key_under_a_name_of_its_own_is_refused_without_showing_it():
    options = {"url": "http://127.0.0.1:1/v1", "model": "m", "api_key": KEY}
    with pytest.raises(RecipeError, match=r"endpoint\.api_key: no such option") as caught:
        verifier.bind({"name": "judge", "endpoint": options})
    assert KEY not in str(caught.value)


@pytest.mark.slow
def test_a_worker_process_does_not_see_the_key(monkeypatch):
    monkeypatch.setenv("TEMPER_TEST_KEY", KEY)
    spec("http://127.0.0.1:1/v1", api_key_env="TEMPER_TEST_KEY")
    workers = Workers(count=1)
    try:
        seen = workers.call_blocking("os:getenv", "TEMPER_TEST_KEY", deadline_s=30)
        path = workers.call_blocking("os:getenv", "PATH", deadline_s=30)
    finally:
        workers.close()
    assert not seen.failed and seen.value is None
    assert path.value == os.environ["PATH"]


def test_short_values_do_not_blot_out_words(monkeypatch):
    monkeypatch.setenv("TEMPER_TEST_KEY", "a")
    withhold("TEMPER_TEST_KEY")
    assert scrubbed("a bad day") == "a bad day"
