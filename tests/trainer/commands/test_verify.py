import json
from pathlib import Path

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from rewards.audit.verifier_bench import Bounds
from tests.support.reward_models import tiny_reward_model
from trainer.commands.verify import load_bench, run_verify

STRANGERS = Path(__file__).parents[2] / "support" / "strangers.py"
STRICT = Bounds(max_gold_fail=0.0, max_false_accept=0.0, max_missing=0.0, max_changed=0.0)
EXACT = f"{{name: plugin, function: '{STRANGERS}:equal'}}"
ANYTHING = "{name: format, pattern: '.'}"


def bench(folder: Path, verifier: str, **options):
    """Exit code, what was shown, and the JSON."""
    file = folder / "mine.yaml"
    file.write_text(
        "problems: {source: {name: sums, size: 12, seed: 0}, gold_response: '{answer}'}\n"
        f"verifier: {verifier}\n"
    )
    console = Console(record=True, width=200)
    settings = {"responses": None, "second": "", "sample": 4, "concurrency": 4, "bounds": STRICT}
    out = folder / "out.json"
    code = run_verify(str(file), [], out=out, console=console, **{**settings, **options})
    return code, console.export_text(), json.loads(out.read_text())


@pytest.mark.slow
def test_a_good_verifier_breaks_no_bound(tmp_path, capsys):
    code, shown, found = bench(tmp_path, EXACT)
    assert code == 0
    assert found["gold_failures"] == found["accepted_wrong"] == found["broken"] == []
    assert [kind["name"] for kind in found["kinds"]] == [
        *("gold", "bare", "other", "empty", "huge", "unicode", "adversarial"),
    ]
    assert "gold" in shown and "milliseconds of a usual call" in shown


def test_a_verifier_that_accepts_anything_is_found_out(tmp_path, capsys):
    code, shown, found = bench(tmp_path, ANYTHING)
    assert code == 1
    assert len(found["accepted_wrong"]) > 4
    assert "wrong answers accepted" in shown
    assert "broken: share of wrong answers accepted" in capsys.readouterr().err


def test_bounds_decide_the_exit_code(tmp_path):
    assert bench(tmp_path, ANYTHING, bounds=Bounds())[0] == 0


def test_a_second_verifier_is_compared(tmp_path):
    _, shown, found = bench(tmp_path, ANYTHING, second="{name: format, pattern: '[0-9]'}")
    assert found["second"]["name"] == "format"
    assert found["agreement"]["second_only"] == 0 < found["agreement"]["first_only"]
    assert "agreement with format" in shown
    assert "not as format says: " in shown
    assert len(found["disagreements"]) == found["agreement"]["first_only"]
    assert all(t["correct"] and not t["second_correct"] for t in found["disagreements"])


def test_responses_of_a_file_are_asked_too(tmp_path):
    lines = [
        {"answer": "7", "response": "7", "expected": True},
        {"answer": "7", "response": "", "expected": True},
    ]
    file = tmp_path / "said.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, _, found = bench(tmp_path, ANYTHING, responses=file)
    assert [(given["response"], given["correct"]) for given in found["given"]] == [
        ("7", True),
        ("", False),
    ]


def test_a_broken_line_of_responses_is_named(tmp_path):
    file = tmp_path / "said.jsonl"
    file.write_text('{"answer": "7", "response": "7"}\n{"response": "7"}\n')
    with pytest.raises(RecipeError, match=r"said.jsonl:2: neither an 'answer' nor"):
        bench(tmp_path, ANYTHING, responses=file)


def test_a_misspelt_second_verifier_is_named(tmp_path):
    with pytest.raises(RecipeError, match="--second formt: no verifier called 'formt'"):
        bench(tmp_path, ANYTHING, second="formt")


@pytest.mark.parametrize("name", ["sums", "quickstart", "smoke/grpo"])
def test_suites_and_recipes_say_what_is_right(name):
    assert load_bench(name, []).problems.source.name == "sums"


def test_settings_can_be_replaced():
    replaced = load_bench("quickstart", ["verifier={name: format, pattern: x}"])
    assert replaced.verifier.name == "format"


def test_what_a_verifier_lacks_is_an_error_not_missing_verdicts(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    endpoint = "{url: 'http://127.0.0.1:9/v1', model: m, api_key_env: NO_SUCH_KEY}"
    judge = f"{{name: generative_verifier, endpoint: {endpoint}}}"
    with pytest.raises(RecipeError, match="NO_SUCH_KEY"):
        bench(tmp_path, judge)
    with pytest.raises(RecipeError, match="NO_SUCH_KEY"):
        bench(tmp_path, ANYTHING, second=judge)


def test_rows_of_several_kinds_are_tried_with_their_own_verifier(tmp_path):
    rows = [{"prompt": f"{n}+0=", "answer": str(n), "kind": "ab"[n % 2]} for n in range(6)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    file = tmp_path / "mixed.yaml"
    file.write_text(
        f"problems: {{source: {{name: dataset, path: {data}, columns: {{verifier: kind}}}},\n"
        "  gold_response: '{answer}'}\n"
        "verifier: {name: by_row, named: {a: exact, b: {name: exact, marker: '@'}}}\n"
    )
    out = tmp_path / "out.json"
    options = {"responses": None, "second": "", "sample": 0, "concurrency": 2}
    run_verify(str(file), [], bounds=STRICT, out=out, console=Console(quiet=True), **options)
    failed = json.loads(out.read_text())["gold_failures"]
    assert len(failed) == 3  # the kind b, whose answers want a mark


def test_responses_that_are_not_there_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"--responses: no file .*said\.jsonl"):
        bench(tmp_path, ANYTHING, responses=tmp_path / "said.jsonl")


@pytest.mark.slow
def test_a_function_that_depends_on_other_responses_is_named_with_both_rewards(tmp_path, capsys):
    compares = f"{{name: plugin, function: '{STRANGERS}:agreement'}}"
    _, shown, found = bench(tmp_path, compares, bounds=Bounds(max_changed=0.0))
    assert "depends on other responses: agreement, " in shown
    assert "reward 1 alone, reward 0.4 in a group of 5; it is called with all" in shown
    assert found["broken"] == []
    keeps = f"{{name: plugin, workers: 1, function: '{STRANGERS}:against_the_longest'}}"
    code, shown, found = bench(tmp_path, keeps, bounds=Bounds(max_changed=0.0))
    assert code == 1
    assert "depends on other responses: against_the_longest, " in shown
    assert "keep nothing between calls" in " ".join(shown.split())
    assert {entry["function"] for entry in found["batch"]} == {"against_the_longest"}
    assert "depends on other responses or their order" in capsys.readouterr().err


@pytest.mark.slow  # a tokenizer reads millions of characters
def test_probes_beyond_a_reward_models_context_are_told_apart_from_failures(tmp_path, capsys):
    local = f"{{path: {tiny_reward_model(tmp_path / 'model')}, batch_size: 1}}"
    scores = f"{{name: reward_model, local: {local}}}"
    _, shown, found = bench(tmp_path, scores, bounds=Bounds(max_missing=0.0), sample=1)
    assert found["broken"] == []
    assert found["missing"] == []
    huge = next(kind for kind in found["kinds"] if kind["name"] == "huge")
    assert (huge["too_long"], huge["missing"]) == (huge["count"], 0)
    words = " ".join(shown.split())
    assert "longer than the verifier reads: 8 probes (huge 6, unicode 1, adversarial 1); " in words
    assert "tokens, and the reward model reads at most 512" in words


@pytest.mark.slow
def test_gold_answers_beyond_the_context_are_failures(tmp_path, capsys):
    local = f"{{path: {tiny_reward_model(tmp_path / 'model')}, max_length: 4}}"
    scores = f"{{name: reward_model, local: {local}}}"
    bounds = Bounds(max_missing=0.0, max_gold_fail=0.0)
    code, _, found = bench(tmp_path, scores, bounds=bounds, sample=1)
    assert code == 1
    assert len(found["gold_failures"]) == 1
    assert len(found["broken"]) == 2


def test_a_function_of_no_known_kind_is_named_with_its_place(tmp_path):
    (tmp_path / "strange.py").write_text("def strange(a, b):\n    return 1.0\n")
    entry = f"{{name: plugin, function: '{tmp_path}/strange.py:strange'}}"
    with pytest.raises(RecipeError) as caught:
        bench(tmp_path, entry)
    assert f"{tmp_path}/mine.yaml:2: verifier.function: " in str(caught.value)
    assert "strange(a, b) has a signature of no known kind" in str(caught.value)
