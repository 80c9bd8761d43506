import pytest
from reasoning_gym.factory import create_dataset

from recipes.errors import RecipeError
from recipes.slots.registry import build
from rollout.sources import source

EXAMPLES = [{"task": "chain_sum", "size": 4}]


def load(task, size=3, **options):
    return build(source.bind({"name": "reasoning_gym", "task": task, "size": size, **options}))


def test_rows_carry_what_the_tasks_scorer_needs():
    rows = load("chain_sum", seed=4, config={"max_terms": 3})
    scorer = create_dataset("chain_sum", size=3, seed=4, max_terms=3)
    assert [row.id for row in rows] == ["chain_sum-4-0", "chain_sum-4-1", "chain_sum-4-2"]
    for index, row in enumerate(rows):
        assert row.prompt == scorer[index]["question"]
        assert row.columns["reasoning_gym_task"] == "chain_sum"
        assert scorer.score_answer(row.answer, entry=row.columns["entry"]) == 1.0


def test_another_seed_gives_other_problems():
    prompts = {row.prompt for row in [*load("chain_sum", 5), *load("chain_sum", 5, seed=1)]}
    assert len(prompts) > 5


def test_a_task_with_many_answers_has_none():
    assert {row.answer for row in load("propositional_logic")} == {""}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "sudoko"}, "task: reasoning-gym has no task called 'sudoko'; near names: sudoku"),
        ({"task": "zzzz"}, "known: ab, acre"),
        (
            {"task": "chain_sum", "config": {"maxterms": 3}},
            r"config\.maxterms: .*did you mean 'max_terms'",
        ),
        ({"task": "chain_sum", "config": {"seed": 3}}, r"config\.seed: .*no such option"),
        ({"task": "chain_sum", "config": {"min_terms": 0}}, "min_terms must be positive"),
    ],
)
def test_a_mistake_is_named_with_what_there_is(options, match):
    with pytest.raises(RecipeError, match=match):
        load(**options)


def test_the_splits_of_a_task_share_no_question():
    def questions(split, seed):
        made = load("spell_backward", 60, seed=seed, split=split)
        return {row.prompt for row in made}

    held_out, train = questions("heldout", 1), questions("train", 2)
    assert len(held_out) == len(train) == 60
    assert not held_out & train


def test_a_split_that_the_task_cannot_fill_is_an_error():
    with pytest.raises(RecipeError, match="different questions of split train, not 300"):
        load("count_bits", 300, split="train", config={"min_n": 1, "max_n": 9})
