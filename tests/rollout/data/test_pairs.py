import json

import pytest

from recipes.errors import RecipeError
from rewards.types import Message
from rollout.data.pairs import PairColumns, PairsSpec, load_pairs, read_pairs

ASKED = (Message(role="user", content="1+1?"),)


def write(tmp_path, rows):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def say(*turns):
    roles = ("user", "assistant") * len(turns)
    return [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"prompt": "1+1?", "chosen": "2", "rejected": "3"}, PairColumns()),
        ({"prompt": say("1+1?"), "chosen": "2", "rejected": "3"}, PairColumns()),
        (
            {
                "prompt": say("1+1?"),
                "chosen": [{"role": "assistant", "content": "2"}],
                "rejected": [{"role": "assistant", "content": "3"}],
            },
            PairColumns(),
        ),
        ({"chosen": say("1+1?", "2"), "rejected": say("1+1?", "3")}, PairColumns(prompt="")),
        (
            {"q": "1+1?", "good": "2", "bad": "3"},
            PairColumns(prompt="q", chosen="good", rejected="bad"),
        ),
    ],
)
def test_pairs_are_texts_messages_or_conversations(tmp_path, row, columns):
    [pair] = read_pairs(PairsSpec(path=write(tmp_path, [row]), columns=columns))
    assert (pair.prompt, pair.chosen, pair.rejected) == (ASKED, "2", "3")


@pytest.mark.parametrize(
    ("row", "columns", "words"),
    [
        ({"prompt": "", "chosen": "2", "rejected": "3"}, PairColumns(), "holds ''"),
        ({"prompt": "1+1?", "chosen": 2, "rejected": "3"}, PairColumns(), "holds 2"),
        ({"prompt": "1+1?", "chosen": ["2"], "rejected": "3"}, PairColumns(), "message 0"),
        (
            {"chosen": say("1+1?", "2"), "rejected": say("1+2?", "3")},
            PairColumns(prompt=""),
            "differ before their last",
        ),
        ({"chosen": "2", "rejected": "3"}, PairColumns(prompt=""), "nothing before"),
        (
            {"chosen": say("1+1?", "2", "why?"), "rejected": say("1+1?", "2", "how?")},
            PairColumns(prompt=""),
            "not the assistant's",
        ),
        (
            {"prompt": "1+1?", "choosen": "2", "rejected": "3"},
            PairColumns(),
            "did you mean 'choosen'",
        ),
        ({"chosen": "2", "rejected": "3"}, PairColumns(), "whole conversations"),
    ],
)
def test_a_broken_row_names_its_place_and_fault(tmp_path, row, columns, words):
    with pytest.raises(RecipeError, match=words):
        read_pairs(PairsSpec(path=write(tmp_path, [row]), columns=columns))


def rows(prompts, each=2):
    return [
        {"prompt": f"q{p}", "chosen": f"good {i}", "rejected": f"bad {i}"}
        for p in range(prompts)
        for i in range(each)
    ]


def test_no_prompt_is_on_both_sides(tmp_path):
    pairs = load_pairs(PairsSpec(path=write(tmp_path, rows(20)), held_out=0.25))
    assert len(pairs.train) == 30 and len(pairs.held_out) == 10
    assert not {p.prompt for p in pairs.train} & {p.prompt for p in pairs.held_out}


def test_the_split_depends_on_the_seed_alone(tmp_path):
    path = write(tmp_path, rows(20))
    first, again, other = (load_pairs(PairsSpec(path=path, seed=seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_equal_responses_are_left_out_and_counted(tmp_path):
    equal = {"prompt": "q0", "chosen": "same", "rejected": "same"}
    pairs = load_pairs(PairsSpec(path=write(tmp_path, [*rows(4), equal])))
    assert pairs.equal == 1
    assert (
        pairs.report == "pairs: 6 to train on, 2 held out, 1 left out that are equal or undecided"
    )


def test_one_prompt_cannot_be_split(tmp_path):
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        load_pairs(PairsSpec(path=write(tmp_path, rows(1))))
