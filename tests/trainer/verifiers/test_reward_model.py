import asyncio
import json

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import call_on_run_start, function_of
from rewards.audit.provenance import changes, provenance_of
from rewards.http.usage import meters
from tests.support.builders import problem
from tests.support.model_servers import vllm_server
from tests.support.openai_server import Answer, serve
from tests.support.reward_models import reference, tiny_reward_model
from trainer.verifiers import verifier

ASKED = problem(prompt="1+1=", answer="2")


def score(response="2", **options):
    meters.read()
    bound = verifier.bind({"name": "reward_model", **options})
    return asyncio.run(function_of(bound)(ASKED, response))


def behind(server, **options):
    return {"url": server.url.removesuffix("/v1"), "model": "rm", "retries": 0, **options}


def classified(number):
    return Answer(raw=json.dumps({"data": [{"probs": [number]}]}).encode())


def test_the_output_is_normalised_and_held_against_the_threshold(tmp_path):
    folder = tiny_reward_model(tmp_path)
    output = reference(folder, "1+1=", "2")
    raw = score(local={"path": str(folder)})
    assert raw.reward == pytest.approx(output, abs=1e-4)
    assert raw.components == {"output": raw.reward}
    assert raw.correct == (output > 0)
    moved = score(local={"path": str(folder)}, mean=output - 3, std=2.0, threshold=1.4)
    assert moved.reward == pytest.approx(1.5, abs=1e-4) and moved.correct
    assert not score(local={"path": str(folder)}, mean=output - 3, std=2.0, threshold=1.6).correct


def test_a_server_is_asked_for_the_raw_output_of_the_conversation():
    with serve(lambda request: classified(4.0)) as server:
        verdict = score("2<|end|>", endpoint=behind(server), mean=1.0, std=2.0)
        [request] = server.requests
    assert verdict.reward == 1.5 and verdict.components == {"output": 4.0}
    assert request.path == "/classify"
    assert request.body == {
        "model": "rm",
        "messages": [
            {"role": "user", "content": "1+1="},
            {"role": "assistant", "content": "2< |end| >"},
        ],
        "use_activation": False,
    }
    assert meters.read()["reward_model/requests"] == 1


@pytest.mark.parametrize("data", [[0.5], [[0.1], [0.5]], [[[0.1], [0.5]]]])
def test_pooling_gives_one_number_or_one_for_each_step(data):
    answer = Answer(raw=json.dumps({"data": [{"data": data}]}).encode())
    with serve(lambda request: answer) as server:
        assert score(endpoint=behind(server), route="pooling").reward == 0.5
        assert server.requests[0].path == "/pooling"


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"data": []}', b'{"data": [{"probs": [0.1, 0.9]}]}', b'{"data": [{"probs": []}]}'],
)
def test_a_reply_without_one_number_is_missing(raw):
    with serve(lambda request: Answer(raw=raw)) as server:
        verdict = score(endpoint=behind(server))
    assert verdict.is_missing and "one number" in verdict.reason


def test_what_cannot_be_scored_is_missing(tmp_path):
    long = score("x" * 600, local={"path": str(tiny_reward_model(tmp_path)), "max_length": 512})
    assert long.is_missing and long.too_long and "reads at most 512" in long.reason
    with serve(lambda request: Answer("no such model", status=400)) as server:
        refused = score(endpoint=behind(server))
    assert refused.is_missing and not refused.too_long and "no such model" in refused.reason


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 512 tokens. However, you requested 901",
        "the request exceeds the available context size",
        "Input is too long: 901 tokens",
        '{"code": "context_length_exceeded"}',
    ],
)
def test_a_server_whose_context_is_too_short_says_so(words):
    with serve(lambda request: Answer(words, status=400)) as server:
        refused = score(endpoint=behind(server))
    assert refused.is_missing and refused.too_long


def test_a_conversation_beyond_the_models_own_positions_is_missing_alone(tmp_path):
    local = {"path": str(tiny_reward_model(tmp_path)), "max_length": 10_000}
    verdict = score("x" * 600, local=local)
    assert verdict.too_long and "reads at most 512" in verdict.reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "exactly one of them"),
        (
            {"local": {"path": "a"}, "endpoint": {"url": "http://h", "model": "m"}},
            "exactly one of them",
        ),
        ({"local": {"path": "a", "batchsize": 2}}, "local.batchsize"),
        ({"local": {"path": "a"}, "std": 0.0}, "greater than 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words):
    with pytest.raises(RecipeError, match=words):
        verifier.bind({"name": "reward_model", **options})


def test_a_model_that_is_not_there_is_found_before_a_run(tmp_path):
    bound = verifier.bind({"name": "reward_model", "local": {"path": str(tmp_path / "gone")}})
    with pytest.raises(RecipeError, match="gone"):
        call_on_run_start(bound)


@pytest.mark.slow
def test_vllm_gives_what_this_process_gives(tmp_path):
    pytest.importorskip("vllm.version")
    folder = tiny_reward_model(tmp_path / "model")
    responses = ["2", "a longer answer", "two <|end|> three", "x" * 600]
    local = [score(response, local={"path": str(folder)}) for response in responses[:3]]
    with vllm_server(folder, "--runner", "pooling") as url:
        for route in ("classify", "pooling"):
            endpoint = {"url": url, "model": "served"}
            served = [score(r, endpoint=endpoint, route=route) for r in responses]
            assert [v.reward for v in served[:3]] == pytest.approx(
                [v.reward for v in local], abs=1e-3
            )
            assert served[3].is_missing and "maximum context length" in served[3].reason
    rewards = [verdict.reward for verdict in local]
    assert max(rewards) - min(rewards) > 0.1  # or agreement would show nothing


def test_other_weights_are_another_verifier_and_other_limits_are_not(tmp_path):
    def bound(**local):
        entry = {"name": "reward_model", "local": {"path": str(tmp_path), **local}}
        return verifier.bind({"name": "best_of", "components": {"style": entry}})

    def known(**local):
        return provenance_of(bound(**local))

    (tmp_path / "model.safetensors").write_bytes(b"ab")
    before = known()
    assert known(deadline_s=7.0, max_wait_s=0.5).digest == before.digest
    assert known(batch_size=1).digest != before.digest  # the last digits depend on it
    (tmp_path / "model.safetensors").write_bytes(b"ac")
    [found], _ = changes(before.plain(), bound())
    assert found.startswith(f"{tmp_path}/model.safetensors (")
