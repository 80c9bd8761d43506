import asyncio
import json

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import call_on_run_start, function_of, to_plain
from rewards.http.usage import meters
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.openai_server import Answer, serve

ASKED = problem(prompt="Name a prime above 10.", answer="13", columns={"other": "17"})
ITEMS = [
    {"name": "prime", "question": "Is it a prime?", "weight": 2.0},
    {"name": "polite", "question": "Is it polite?"},
    {"name": "shouts", "question": "Does it shout?", "weight": -1.0},
]


def bound(url="http://127.0.0.1:1/v1", *, endpoint=None, **options):
    where = {"url": url, "model": "m", "backoff_s": 0.01, "retries": 1, **(endpoint or {})}
    return verifier.bind({"name": "judge", "endpoint": where, **options})


def judge(server, tmp_path, response="11", *, of=ASKED, **options):
    """The verdict; meters start empty."""
    meters.read()
    score = function_of(bound(server.url, cache=str(tmp_path), **options))
    return asyncio.run(score(of, response))


def shown_as(request, response="11"):
    """A or B: the place of the response in a pairwise request."""
    user = request.messages[1]["content"]
    return "A" if user.index(f"\n{response}\n") < user.index("\n13\n") else "B"


@pytest.mark.parametrize(("score", "reward"), [(0, 0.0), (7, 0.7), (10, 1.0)])
def test_a_grade_becomes_a_share_of_the_scale(tmp_path, score, reward):
    said = json.dumps({"reason": "it is a prime", "score": score})
    with serve(lambda request: said) as server:
        verdict = judge(server, tmp_path)
    assert verdict.reward == reward
    assert verdict.correct == (reward >= 0.5)
    assert f"m, graded/1: {score} on a scale from 0 to 10. it is a prime" in verdict.reason


def test_another_scale_and_threshold(tmp_path):
    with serve(lambda request: '{"reason": "", "score": 2}') as server:
        verdict = judge(server, tmp_path, scale=[1, 5], threshold=0.25)
        assert "from 1 (worst) to 5 (best)" in server.requests[0].messages[0]["content"]
    assert verdict.reward == 0.25 and verdict.correct  # one step of four


def test_the_answers_form_is_asked_of_the_server(tmp_path):
    with serve(lambda request: '{"reason": "", "score": 2}') as server:
        for form in ("json_schema", "json_object", "words"):
            judge(server, tmp_path, form=form)
        formats = [request.body.get("response_format") for request in server.requests]
    assert formats[0]["json_schema"]["schema"]["properties"]["score"]["maximum"] == 10
    assert formats[1:] == [{"type": "json_object"}, None]


@pytest.mark.parametrize(
    ("as_first", "as_second", "reward"),
    [
        ("A", "B", 1.0),  # better in either place
        ("B", "A", 0.0),
        ("tie", "tie", 0.5),
        ("A", "A", 0.5),  # whatever is shown first
        ("B", "B", 0.5),
        ("A", "tie", 0.75),
        ("tie", "A", 0.25),
    ],
)
def test_places_are_swapped_and_averaged(tmp_path, as_first, as_second, reward):
    def script(request):
        return json.dumps({"better": as_first if shown_as(request) == "A" else as_second})

    with serve(script) as server:
        verdict = judge(server, tmp_path, mode="pairwise")
        assert sorted(map(shown_as, server.requests)) == ["A", "B"]
    assert verdict.reward == reward
    first, second = verdict.components["shown_first"], verdict.components["shown_second"]
    assert (first + second) / 2 == reward
    assert meters.read()["judge/disagreement_frac"] == float(first != second)


def test_the_reference_may_be_a_column(tmp_path):
    with serve(lambda request: '{"better": "tie"}') as server:
        judge(server, tmp_path, mode="pairwise", reference="other")
        assert "\n17\n" in server.requests[0].messages[1]["content"]


@pytest.mark.parametrize(
    ("options", "of"),
    [
        ({"reference": "gone"}, ASKED),
        ({"reference": "gone", "mode": "pairwise"}, ASKED),
        ({"mode": "pairwise"}, problem(answer="")),
    ],
)
def test_a_row_without_its_reference_is_missing(tmp_path, options, of):
    with serve(lambda request: '{"better": "A"}') as server:
        verdict = judge(server, tmp_path, of=of, **options)
        assert verdict.is_missing and "to compare with" in verdict.reason
        assert not server.requests


@pytest.mark.parametrize(
    ("said", "reward"),
    [
        ("yes yes no", 1.0),  # (2 + 1) / 3
        ("yes no no", 2 / 3),
        ("yes no yes", 1 / 3),  # (2 - 1) / 3
        ("no no yes", 0.0),  # cut at 0
        ("no yes no", 1 / 3),
    ],
)
def test_a_rubric_is_the_share_of_its_positive_weights(tmp_path, said, reward):
    answer = dict(zip(("prime", "polite", "shouts"), said.split(), strict=True))
    with serve(lambda request: json.dumps(answer)) as server:
        verdict = judge(server, tmp_path, mode="rubric", items=ITEMS)
        assert "- polite: Is it polite?" in server.requests[0].messages[0]["content"]
    assert verdict.reward == pytest.approx(reward)
    assert verdict.components == {name: float(word == "yes") for name, word in answer.items()}


def test_an_unreadable_answer_is_asked_again_with_another_seed(tmp_path):
    answers = ["I would say 7", "eight", '{"score": 9}']
    with serve(lambda request: answers[request.number]) as server:
        verdict = judge(server, tmp_path)
        assert [request.body["seed"] for request in server.requests] == [0, 1, 2]
    assert verdict.reward == 0.9
    assert meters.read()["judge/unreadable"] == 2


def test_a_judge_that_never_answers_in_form_is_missing_not_zero(tmp_path):
    with serve(lambda request: "0") as server:
        verdict = judge(server, tmp_path)
    assert verdict.is_missing
    assert "no readable answer in 3" in verdict.reason and "'0'" in verdict.reason


@pytest.mark.parametrize("mode", ["graded", "pairwise"])
def test_a_judge_that_is_down_is_missing_with_its_address(tmp_path, mode):
    with serve(lambda request: "") as server:
        pass
    verdict = judge(server, tmp_path, mode=mode)
    assert verdict.is_missing
    assert server.url in verdict.reason and "cannot be reached" in verdict.reason


def test_a_judge_that_is_too_slow_is_missing(tmp_path):
    with serve(lambda request: Answer('{"score": 9}', delay_s=0.5)) as server:
        verdict = judge(server, tmp_path, endpoint={"deadline_s": 0.1})
    assert verdict.is_missing and "no reply within 0.1 s" in verdict.reason


def test_equal_responses_cost_one_question(tmp_path):
    score = None

    async def group(url):
        score = function_of(bound(url, cache=str(tmp_path)))
        return await asyncio.gather(*(score(ASKED, response) for response in ("11", "11", "12")))

    meters.read()
    with serve(lambda request: Answer('{"score": 9}', delay_s=0.05)) as server:
        verdicts = asyncio.run(group(server.url))
        assert len(server.requests) == 2
        del score
    assert [verdict.reward for verdict in verdicts] == [0.9] * 3
    counted = meters.read()
    assert counted["judge/questions"] == 3
    assert counted["judge/kept_frac"] == pytest.approx(1 / 3)


def test_one_verifier_serves_several_event_loops(tmp_path):
    with serve(lambda request: '{"score": 9}') as server:
        rewards = [judge(server, tmp_path, response).reward for response in "ab"]
    assert rewards == [0.9, 0.9]


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"scale": [3, 3]}, "scale", "not a scale"),
        ({"scale": [1]}, "scale", "not a scale"),
        ({"mode": "rubric"}, "items", "has no items"),
        ({"items": ITEMS}, "items", "asks no items"),
        ({"mode": "rubric", "items": [ITEMS[0], ITEMS[0]]}, "items", "share a name"),
        ({"mode": "rubric", "items": [ITEMS[2]]}, "items", "nothing to earn"),
        ({"mode": "pairwise", "reference": ""}, "reference", "there is none"),
        ({"mode": "grade"}, "mode", "graded"),
        ({"endpoint": {"url": "here"}}, "endpoint.url", "http://"),
        ({"endpoint": {"retries": -1}}, "endpoint.retries", "greater than or equal to 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, path, words):
    with pytest.raises(RecipeError) as caught:
        bound(**options)
    [fault] = caught.value.faults
    assert fault.path == path and words in str(fault)


def test_a_missing_key_is_found_before_a_run(monkeypatch):
    monkeypatch.delenv("TEMPER_NO_KEY", raising=False)
    judged = bound(endpoint={"api_key_env": "TEMPER_NO_KEY"})
    components = {"style": to_plain(judged)}
    for entry in (judged, verifier.bind({"name": "weighted", "components": components})):
        with pytest.raises(RecipeError, match="TEMPER_NO_KEY is not set"):
            call_on_run_start(entry)


def test_the_key_is_not_in_the_written_recipe_or_in_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPER_TEST_KEY", "sk-very-secret")
    key = {"api_key_env": "TEMPER_TEST_KEY"}
    with serve(lambda request: Answer("no such key: sk-very-secret", status=400)) as server:
        verdict = judge(server, tmp_path, endpoint=key)
        assert server.requests[0].headers["authorization"] == "Bearer sk-very-secret"
    assert verdict.is_missing and "sk-very-secret" not in verdict.reason
    written = json.dumps(to_plain(bound(endpoint=key)))
    assert "sk-very-secret" not in written and "TEMPER_TEST_KEY" in written


def test_a_response_beyond_the_context_is_missing_for_its_length(tmp_path):
    words = "This model's maximum context length is 4096 tokens."
    with serve(lambda request: Answer(words, status=400)) as server:
        assert judge(server, tmp_path).too_long
    with serve(lambda request: "no grade") as server:
        assert not judge(server, tmp_path, attempts=1).too_long
