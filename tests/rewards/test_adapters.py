import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rewards
from recipes.errors import RecipeError
from tests.support.openai_server import serve
from tests.support.runs import ROOT, environment, tiny_base

STRANGERS = Path(__file__).parents[1] / "support" / "strangers.py"
slow = pytest.mark.slow  # starts worker processes
CHAT = [{"role": "user", "content": "1+1="}]


def said(text):
    return [{"role": "assistant", "content": text}]


# -- score ---------------------------------------------------------------------------------------


def test_a_verdict_by_name_and_by_entry():
    by_name = rewards.score("numeric", 7, "so #7", marker="#")
    by_entry = rewards.score({"name": "numeric", "marker": "#"}, "7", "so #8")
    assert (by_name.reward, by_name.answer) == (1.0, "7")
    assert (by_entry.reward, by_entry.answer) == (0.0, "8")


def test_a_verdict_inside_a_running_loop_as_jupyter_has_it():
    async def cell():
        return rewards.score("exact", "x", "x"), rewards.score("exact", "x", "y")

    right, wrong = asyncio.run(cell())
    assert (right.reward, wrong.reward) == (1.0, 0.0)


@slow
def test_math_is_judged_in_a_worker_that_the_second_call_finds():
    assert rewards.score("math_equal", "1/2", r"\boxed{0.5}").correct
    assert not rewards.score("math_equal", "1/2", r"\boxed{0.51}").correct


@slow
@pytest.mark.parametrize("name", ["equal", "later"])  # the second is async
def test_a_plug_in_by_its_file_alone_also_inside_a_running_loop(name):
    async def cell():
        return rewards.score(f"{STRANGERS}:{name}", "2", "2")

    assert asyncio.run(cell()).reward == 1.0  # equal, or of length 1


@slow
def test_a_plug_in_reads_columns_and_takes_options():
    spec = {"name": "plugin", "function": f"{STRANGERS}:of_problem"}
    verdict = rewards.score(spec, "", "x", columns={"wanted": "x"}, options={"bonus": 0.25})
    assert verdict.reward == 1.25


def test_a_judge_is_shown_the_prompt(tmp_path):
    with serve(lambda request: '{"reason": "", "score": 7}') as server:
        verdict = rewards.score(
            {"name": "judge", "endpoint": {"url": server.url, "model": "m"}},
            "13",
            "11",
            prompt="Name a prime above 10.",
            cache=str(tmp_path),
        )
        asked = server.requests[0].messages[1]["content"]
    assert verdict.reward == 0.7
    assert "Name a prime above 10." in asked


def test_by_row_follows_the_name_of_the_row():
    spec = {"name": "by_row", "named": {"word": "exact", "sum": {"name": "numeric", "marker": "#"}}}
    assert rewards.score(spec, "7", "so #7.0", row_verifier="sum").correct
    assert not rewards.score(spec, "7", "so #7.0", row_verifier="word").correct
    assert rewards.score(spec, "7", "so #7.0", row_verifier="words").is_missing


def test_an_unknown_verifier_or_option_is_an_error_with_the_nearest_name():
    with pytest.raises(RecipeError, match="did you mean 'numeric'"):
        rewards.score("numric", "7", "7")
    with pytest.raises(RecipeError, match="did you mean 'marker'"):
        rewards.score("numeric", "7", "7", markr="#")


def test_importing_rewards_loads_nothing_else():
    program = "import sys, rewards; print(sorted(m for m in sys.modules if 'rewards' in m))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['rewards']"


def test_a_forked_child_has_a_loop_that_runs():
    assert rewards.score("exact", "x", "x").correct
    child = os.fork()
    if not child:
        os._exit(7 if rewards.score("exact", "x", "x").correct else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# -- TRL -----------------------------------------------------------------------------------------


def test_a_trl_function_scores_texts_and_conversations():
    reward = rewards.as_trl({"name": "numeric", "marker": "#"})
    assert reward.__name__ == "numeric"
    texts = reward(prompts=["1+1=", "1+2="], completions=["#2", "#2"], answer=["2", "3"])
    chats = reward(
        prompts=[CHAT, CHAT], completions=[said("#2"), said("#3")], answer=[2, 2], other=[None, 1]
    )
    assert (texts, chats) == ([1.0, 0.0], [1.0, 0.0])


def test_what_the_assistant_wrote_around_a_tool_call_is_the_response():
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]}
    tool = {"role": "tool", "name": "add", "content": "#3"}
    parts = {"role": "assistant", "content": [{"type": "text", "text": "#2"}]}
    reward = rewards.as_trl({"name": "numeric", "marker": "#"})
    assert reward(prompts=[CHAT], completions=[[call, tool, parts]], answer=["2"]) == [1.0]
    assert reward(prompts=[CHAT], completions=[[call, tool]], answer=["2"]) == [0.0]


def test_a_missing_verdict_is_none_and_its_reason_is_logged_once(caplog):
    spec = {"name": "by_row", "named": {"word": "exact"}}
    reward = rewards.as_trl(spec, verifier_column="kind", name="mixed")
    logged = []
    with caplog.at_level(logging.WARNING):
        values = reward(
            prompts=["a", "b", "c", "d"],
            completions=["x", "x", "x", "y"],
            answer=["x"] * 4,
            kind=["word", "sum", "sum", "word"],
            completion_ids=[[1]] * 4,
            trainer_state=None,
            log_extra=None,
            log_metric=lambda name, value: logged.append((name, value)),
        )
    assert values == [1.0, None, None, 0.0]
    assert logged == [("mixed/missing_frac", 0.5)]
    assert caplog.messages == ["mixed gave no verdict: no verifier called 'sum'"]


@slow
def test_neighbours_of_one_row_are_one_group():
    reward = rewards.as_trl(f"{STRANGERS}:agreement", answer_column="")
    assert reward.__name__ == "agreement"
    values = reward(prompts=list("aaabb"), completions=["1", "2", "1", "1", "3"])
    assert values == pytest.approx([2 / 3, 1 / 3, 2 / 3, 1 / 2, 1 / 2])


@slow
def test_equal_prompts_with_other_answers_are_two_groups():
    reward = rewards.as_trl(f"{STRANGERS}:agreement")
    values = reward(prompts=["a"] * 4, completions=["1"] * 4, answer=["1", "1", "2", "2"])
    assert values == [1.0] * 4


def test_a_column_that_is_not_there_is_named():
    reward = rewards.as_trl("exact")
    with pytest.raises(RecipeError, match=r"no column 'answer' \(columns: solution\)"):
        reward(prompts=["a"], completions=["x"], solution=["x"])


@slow
@pytest.mark.filterwarnings("ignore")  # TRL's imports warn
def test_trls_own_trainer_trains_on_a_verifier(tmp_path):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    base = tiny_base(tmp_path / "base")
    groups = f"{STRANGERS}:agreement"
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        reward_funcs=[
            rewards.as_trl({"name": "numeric", "marker": "#"}),
            rewards.as_trl(groups, answer_column="", name="agreement"),
        ],
        args=GRPOConfig(
            output_dir=str(tmp_path / "out"),
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=4,
            max_steps=2,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": "1+1=", "answer": "2"}] * 4),
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(steps) == 2
    for entry in steps:
        assert entry["numeric/missing_frac"] == 0.0
        assert 0.25 <= entry["rewards/agreement/mean"] <= 1.0  # one of four is equal to itself
        both = entry["rewards/numeric/mean"] + entry["rewards/agreement/mean"]
        assert entry["reward"] == pytest.approx(both)


# -- verl ----------------------------------------------------------------------------------------


def test_verl_gets_a_score_the_correctness_and_the_answer():
    compute_score = rewards.as_verl({"name": "numeric", "marker": "#"})
    right = compute_score("gsm8k", "so #7", "7")
    wrong = compute_score(
        data_source="gsm8k", solution_str="#8", ground_truth=7, extra_info={"index": 1}, extra=2
    )
    assert right == {"score": 1.0, "acc": True, "pred": "7"}
    assert wrong == {"score": 0.0, "acc": False, "pred": "8"}


def test_verls_data_source_names_the_verifier_of_the_row():
    spec = {"name": "by_row", "named": {"words": "exact", "sums": {"name": "numeric"}}}
    compute_score = rewards.as_verl(spec)
    assert compute_score("words", "7.0", "7")["score"] == 0.0
    assert compute_score("sums", "7.0", "7")["score"] == 1.0


def test_without_a_verdict_verl_gets_an_exception_or_the_score_that_was_chosen(caplog):
    spec = {"name": "by_row", "named": {"words": "exact"}}
    with pytest.raises(rewards.NoVerdict, match=r"by_row: no verifier called 'sums'; .*missing="):
        rewards.as_verl(spec)("sums", "7", "7")
    with caplog.at_level(logging.WARNING):
        chosen = rewards.as_verl(spec, missing=-1.0)("sums", "7", "7")
    assert chosen == {"score": -1.0, "acc": False, "pred": ""}
    assert caplog.messages == ["by_row gave no verdict: no verifier called 'sums'"]


def test_a_judge_in_verl_reads_the_prompt_from_extra_info(tmp_path):
    with serve(lambda request: '{"reason": "", "score": 10}') as server:
        endpoint = {"url": server.url, "model": "m"}
        spec = {"name": "judge", "endpoint": endpoint, "cache": str(tmp_path)}
        compute_score = rewards.as_verl(spec, prompt_key="question")
        assert compute_score("d", "11", "13", {"question": "A prime?"})["score"] == 1.0
        assert "A prime?" in server.requests[0].messages[1]["content"]
    with pytest.raises(RecipeError, match=r"extra_info has no 'question' \(keys: index\)"):
        compute_score("d", "11", "13", {"index": 3})


def test_the_three_are_documented_where_verifiers_are():
    page = (ROOT / "docs" / "write-a-verifier.md").read_text()
    assert all(f"rewards.{name}(" in page for name in ("score", "as_trl", "as_verl"))


@slow
def test_columns_with_nan_keep_a_group_together():
    reward = rewards.as_trl({"name": "plugin", "function": f"{STRANGERS}:agreement"})
    weight = [float("nan"), float("nan")]
    found = reward(prompts=["p", "p"], completions=["a", "b"], answer=["a", "a"], weight=weight)
    assert found == [0.5, 0.5]


def test_columns_may_hold_arrays():
    scores = [np.array([1.0, 2.0]), np.array([1.0, 2.0])]
    reward = rewards.as_trl("numeric")
    found = reward(prompts=["p", "p"], completions=["2", "3"], answer=["2", "2"], scores=scores)
    assert found == [1.0, 0.0]


def test_a_message_without_content_is_left_out():
    called = {"role": "assistant", "tool_calls": [{"name": "f"}]}
    prompt = [{"role": "user", "content": "1 + 1?"}, called]
    assert rewards.as_trl("numeric")(prompts=[prompt], completions=["2"], answer=["2"]) == [1.0]


def test_an_entry_without_a_name_is_a_mistake_in_words():
    with pytest.raises(RecipeError):
        rewards.as_trl({"function": "mine.py:f"})
