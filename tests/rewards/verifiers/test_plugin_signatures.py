"""Plug-ins written for TRL and verl run unchanged, and see a group's responses together."""

import asyncio

import pytest

from recipes.slots.registry import function_of
from rewards.calling import judge_group
from rewards.plugins.functions import announce_step
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.plugins import ask, ask_group, entry, slow
from tests.support.runs import tiny_base


@slow
def test_a_trl_function_gets_columns_state_and_log_helpers():
    announce_step(3, 12)
    try:
        verdict = ask("trl", "2", answer_column="solution")
    finally:
        announce_step(0, 1)
    assert verdict.reward == 1.0
    assert verdict.components == {"step": 0.25}
    assert verdict.reason == "prompt=1+1="


@slow
def test_a_trl_function_for_chats_gets_messages():
    assert ask("trl_messages", "1+1=", completions="messages").reward == 1.0


@slow
def test_completion_ids_need_a_tokenizer(tmp_path):
    assert "set the option `tokenizer`" in ask("trl_ids", "1+1").reason
    base = tiny_base(tmp_path / "base")
    assert ask("trl_ids", "1+1", tokenizer=str(base)).reward == 3.0


@slow
def test_none_is_not_for_me():
    both = ["only_even", "only_odd"]
    verdict = ask(both, "2", weights=[3.0, 5.0], correct=both)
    assert (verdict.reward, verdict.components) == (3.0, {"only_even": 1.0})
    assert ask(both, "1", answer="1", weights=[3.0, 5.0], correct=both).reward == 5.0
    alone = ask("only_odd", "2")
    assert alone.is_missing
    assert alone.reason == "no function was for this sample (only_odd gave None)"


@slow
def test_verls_signature():
    verdict = ask("compute_score", "2", columns={"data_source": "gsm8k"})
    assert (verdict.reward, verdict.correct, verdict.answer) == (0.5, True, "2")
    assert verdict.reason == "pred=2, why=gsm8k"
    assert verdict.components == {"acc": 1.0}


@slow
def test_a_published_trl_function_runs_unchanged():
    options = {"answer_column": "solution", "completions": "messages", "deadline_s": 60.0}
    name = {"name": "plugin", "function": "trl.rewards:accuracy_reward", **options}
    function = function_of(verifier.bind(name))
    asked = problem(answer=r"$\frac{1}{2}$")
    assert asyncio.run(function(asked, r"It is $\boxed{0.5}$.")).reward == 1.0
    assert asyncio.run(function(asked, r"It is $\boxed{0.7}$.")).reward == 0.0


@slow
@pytest.mark.parametrize(
    ("function", "rewards"),
    [("shortest", [0.0, 1.0, 0.0, 1.0]), ("len_reward", [-0.5, 0.5, 0.0, 0.5])],
)
def test_a_function_that_compares_responses_gets_all_of_the_group(function, rewards):
    verdicts = ask_group(function, "12345", "2", "123", "2")
    assert [verdict.reward for verdict in verdicts] == rewards


@slow
def test_a_group_reaches_a_function_inside_another_verifier():
    inner = {"plain": "exact", "short": entry("shortest")}
    bound = function_of(verifier.bind({"name": "weighted", "components": inner}))
    verdicts = asyncio.run(judge_group(bound, problem(answer="2"), ["12", "2", "123"]))
    assert [verdict.reward for verdict in verdicts] == [0.0, 2.0, 0.0]


@slow
def test_outside_of_a_group_a_response_is_alone():
    assert [verdict.reward for verdict in ask("shortest", "12345", "2")] == [1.0, 1.0]


@slow
def test_in_a_group_each_sample_bears_its_own_fault():
    fine, nan, word = ask_group("uneven", "a", "b", "c")
    assert fine.reward == 1.0
    assert "the reward is nan" in nan.reason
    assert "returned str 'good'" in word.reason


@slow
def test_an_exception_over_a_group_costs_the_group():
    verdicts = ask_group("raises_on_three", "1", "3")
    assert all("ZeroDivisionError" in verdict.reason for verdict in verdicts)


@slow
def test_verls_signature_for_batches():
    assert [v.reward for v in ask_group("compute_scores", "2", "3")] == [1.0, 0.0]


@slow
def test_trl_functions_need_not_name_the_completions(tmp_path):
    assert ask("only_keywords", "2").reward == 1.0
    base = str(tiny_base(tmp_path / "base"))
    assert ask("by_ids", "1+1", tokenizer=base).reward == 3.0
    made = {"options": {"longest": 1, "step": 0.5}, "tokenizer": base}
    assert ask("punishment", "1+1", **made).reward == -1.0  # two tokens too many


@slow
def test_the_soft_punishment_that_trl_ships(tmp_path):
    bound = verifier.bind({
        "name": "plugin", "function": "trl.rewards:get_soft_overlong_punishment",
        "options": {"max_completion_len": 4, "soft_punish_cache": 2},
        "tokenizer": str(tiny_base(tmp_path / "base")), "deadline_s": 60.0,
    })  # fmt: skip
    verdicts = asyncio.run(judge_group(function_of(bound), problem(), ["1", "1+1", "1+1+1"]))
    assert [verdict.reward for verdict in verdicts] == [0.0, -0.5, -1.0]


@slow
def test_verls_rows_arrive_as_verl_has_them():
    assert ask("extra_is_a_mapping", "x", columns={"extra_info": None}).reward == 7.0
    assert ask("extra_is_a_mapping", "x", columns={"extra_info": {"index": 3}}).reward == 3.0
    columns = {"reward_model": {"style": "rule", "ground_truth": {"numbers": [1, 2, 3]}}}
    assert ask("numbers_of", "x", columns=columns).reward == 6.0


@slow
def test_parameters_with_names_of_their_own_are_mapped():
    arguments = {"output": "response", "reference": "answer", "level": "extra_info.level"}
    columns = {"extra_info": {"level": 4}}
    assert ask("own_names", "2", columns=columns, arguments=arguments).reward == 4.0
    lost = ask("own_names", "2", columns={"extra_info": {}}, arguments=arguments)
    assert "needs the column 'extra_info.level', and the row has none" in lost.reason
    arguments = {"outputs": "responses", "reference": "answer"}
    assert [v.reward for v in ask_group("own_lists", "2", "3", arguments=arguments)] == [1.0, 0.0]
