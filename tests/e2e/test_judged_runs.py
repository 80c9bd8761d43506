"""Runs whose rewards come over HTTP: a scripted server, one that goes down, and the real vLLM."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.slots.registry import function_of
from rewards.http.usage import meters
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.model_servers import vllm_server
from tests.support.openai_server import Answer, Request, serve
from tests.support.reward_models import tiny_reward_model
from tests.support.runs import ROOT, environment, launch, numbers, smoke, tiny_base
from trainer.models.tiny import make_tiny
from trainer.monitor.progress import STOPPED
from trainer.recipe.kinds import TinySpec

KEY = "sk-0123456789-nobody-may-see-this"


def judged(url: str, **options: object) -> str:
    """A verifier as one override."""
    endpoint = {"url": url, "model": "served", "backoff_s": 0.01, "retries": 1}
    given = options.pop("endpoint", {})
    assert isinstance(given, dict)
    return json.dumps({"name": "judge", "endpoint": {**endpoint, **given}, **options})


def likes_low_digits(request: Request) -> str:
    """A grade that depends on the response alone, so that groups have a signal."""
    user = request.messages[1]["content"]
    response = user.rpartition("<<<RESPONSE ")[2].partition(">>>\n")[2].partition("\n<<<END")[0]
    score = sum(digit in response for digit in "01234")
    return json.dumps({"reason": "counted", "score": 2 * score})


@pytest.mark.slow
def test_a_run_is_scored_by_a_judge_and_its_answers_are_kept(tmp_path):
    base, kept = tiny_base(tmp_path / "base"), tmp_path / "kept"
    with serve(likes_low_digits) as server:
        entry = judged(server.url, cache=str(kept), endpoint={"price_in": 1.0})
        first = launch(smoke(base, tmp_path / "first", steps=2, verifier=entry))
        assert first.returncode == 0, first.stderr
        asked = len(server.requests)
        assert asked > 0
        again = launch(smoke(base, tmp_path / "again", steps=2, verifier=entry))
        assert again.returncode == 0, again.stderr
        assert len(server.requests) == asked  # the same samples, and every answer is known
    step, metrics = numbers(tmp_path / "first")[-1]
    assert step == 2
    assert metrics["verifier/missing_frac"] == 0
    assert metrics["judge/questions"] == metrics["verifier/calls"] == 16
    assert metrics["judge/tokens_in"] > 0 and metrics["judge/cost"] > 0
    assert 0 < metrics["reward/mean"] < 1
    rewards = [
        [m["reward/mean"] for _, m in numbers(tmp_path / name)] for name in ("first", "again")
    ]
    assert rewards[0] == rewards[1]
    assert numbers(tmp_path / "again")[-1][1]["judge/kept_frac"] == 1


@pytest.mark.slow
def test_a_judge_that_goes_down_ends_the_run_with_its_cause(tmp_path):
    def script(request: Request) -> Answer | str:
        return likes_low_digits(request) if request.number < 12 else Answer("gone", status=503)

    base = tiny_base(tmp_path / "base")
    with serve(script) as server:
        done = launch(smoke(base, tmp_path / "run", steps=20, verifier=judged(server.url)))
    assert done.returncode == STOPPED, done.stderr
    assert "verdicts are missing" in done.stderr
    assert f"judge: {server.url}: HTTP 503" in done.stderr and "gone" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_judge_that_was_never_there_is_found_before_a_model_is_loaded(tmp_path):
    with serve(likes_low_digits) as server:
        pass
    options = smoke(tmp_path / "no_model_here", tmp_path / "run", verifier=judged(server.url))
    done = launch(options)
    assert done.returncode == 1
    assert server.url in done.stderr and "cannot be reached" in done.stderr


@pytest.mark.slow
def test_the_key_is_nowhere_but_in_the_header(tmp_path):
    def refuses(request: Request) -> Answer | str:
        if request.number % 5 == 4:
            return Answer(f"your key {request.headers['authorization']} is odd", status=400)
        return likes_low_digits(request)

    base, key = tiny_base(tmp_path / "base"), {"api_key_env": "TEMPER_TEST_KEY"}
    with serve(refuses) as server:
        entry = judged(server.url, endpoint=key)
        options = smoke(
            base, tmp_path / "run", steps=2, verifier=entry, limits__max_missing_frac=1.0
        )
        done = launch(options, TEMPER_TEST_KEY=KEY)
        assert done.returncode == 0, done.stderr
        assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {KEY}"}
    assert KEY not in done.stdout + done.stderr
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert any(file.name == "answers.sqlite" for file in files)
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    without = launch(smoke(base, tmp_path / "without", verifier=entry))
    assert without.returncode == 1 and "TEMPER_TEST_KEY is not set" in without.stderr


@pytest.mark.slow
def test_check_needs_no_judge(tmp_path):
    nested = {"style": json.loads(judged("http://127.0.0.1:1/v1")), "form": {"name": "exact"}}
    entry = json.dumps({"name": "weighted", "components": nested})
    words = ["check", "smoke/grpo", "--set", f"verifier={entry}", "--set", f"output={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not opened: " in done.stdout


@pytest.mark.slow
def test_a_run_is_scored_by_a_reward_model_in_its_own_process(tmp_path):
    base = tiny_base(tmp_path / "base")
    folder = tiny_reward_model(tmp_path / "reward")
    local = {"path": str(folder), "batch_size": 1}
    entry = json.dumps({"name": "reward_model", "local": local, "std": 10.0})
    for name in ("first", "again"):
        done = launch(smoke(base, tmp_path / name, steps=2, verifier=entry))
        assert done.returncode == 0, done.stderr
    first, again = (
        [
            (step, {name: value for name, value in metrics.items() if not name.endswith("seconds")})
            for step, metrics in numbers(tmp_path / name)
        ]
        for name in ("first", "again")
    )
    assert first == again  # one conversation a pass: the same to the bit
    metrics = first[-1][1]
    assert metrics["verifier/missing_frac"] == 0 and metrics["reward/std"] > 0
    assert metrics["reward/component/output"] == pytest.approx(
        10 * metrics["reward/mean"], rel=1e-4
    )
    gone = smoke(base, tmp_path / "gone", verifier=entry.replace(str(folder), "no/such/model"))
    refused = launch(gone, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1
    assert "verifier.local.path: the reward model no/such/model" in refused.stderr


# -- the real vLLM ---------------------------------------------------------------------------------


XGRAMMAR = '{"backend": "xgrammar", "disable_any_whitespace": true}'


def judge_model(folder: Path) -> Path:
    """A random model that writes what the server's grammar lets it; head_dim 32."""
    shape = TinySpec(hidden=64, layers=2, heads=2, kv_heads=1, intermediate=64, context_length=8192)
    make_tiny(shape, folder, seed=0)
    return folder


def ask(entry: dict[str, object], response: str = "11"):
    meters.read()
    score = function_of(verifier.bind(entry))
    return asyncio.run(score(problem(prompt="Name a prime above 10.", answer="13"), response))


@pytest.mark.slow
def test_vllm_judges_single_responses_and_a_run(tmp_path):
    """A random model knows nothing, but its answers have the form that was asked for."""
    pytest.importorskip("vllm.version")
    grammar = ["--structured-outputs-config", XGRAMMAR]
    sampling = {"temperature": 1.0, "max_tokens": 2000}
    with vllm_server(judge_model(tmp_path / "judge"), *grammar, context=8192) as url:
        entry = {
            "name": "judge",
            "endpoint": {"url": f"{url}/v1", "model": "served"},
            "sampling": sampling,
            "cache": str(tmp_path / "kept"),
        }
        graded = ask(entry)
        assert graded.reward in [score / 10 for score in range(11)], graded.reason
        counted = meters.read()
        assert counted["judge/tokens_in"] > 500 and counted["judge/tokens_out"] > 10
        pair = ask({**entry, "mode": "pairwise"})
        assert pair.components["shown_first"] in (0, 0.5, 1) and not pair.is_missing, pair.reason
        items = [{"name": "prime", "question": "Is it a prime?"}]
        listed = ask({**entry, "mode": "rubric", "items": items})
        assert listed.components["prime"] in (0, 1), listed.reason

        base = tiny_base(tmp_path / "base")
        # With one seed for all, a model that knows nothing gives every response the same grade.
        unseeded = {**sampling, "extra": {"seed": None}}
        override = json.dumps({**entry, "cache": "", "sampling": unseeded})
        done = launch(smoke(base, tmp_path / "run", verifier=override), timeout_s=600)
        assert done.returncode == 0, done.stderr
    step, metrics = numbers(tmp_path / "run")[-1]
    assert step == 2
    assert metrics["verifier/missing_frac"] == 0 and metrics["ledger/verifier_error"] == 0
    assert metrics["judge/questions"] >= metrics["verifier/calls"] == 16
    assert metrics["reward/std"] > 0
    assert (tmp_path / "run" / "answers" / "answers.sqlite").is_file()


@pytest.mark.slow
def test_vllm_tells_the_probability_of_yes(tmp_path):
    """The check is forced into its last line; which of the two words follows is the model's."""
    pytest.importorskip("vllm.version")
    with vllm_server(judge_model(tmp_path / "judge"), context=8192) as url:
        pattern = {"structured_outputs": {"regex": "Verdict: (yes|no)"}}
        entry = {
            "name": "generative_verifier",
            "endpoint": {"url": f"{url}/v1", "model": "served"},
            "sampling": {"temperature": 1.0, "extra": pattern},
            "cache": str(tmp_path / "kept"),
        }
        verdict = ask(entry)
        assert not verdict.is_missing, verdict.reason
        assert "1 of them by log-probs" in verdict.reason
        assert 0 < verdict.reward < 1
        votes = ask({**entry, "votes": 8, "logprobs": False})
        assert votes.reward in [n / 8 for n in range(9)]
