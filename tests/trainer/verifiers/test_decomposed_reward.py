import asyncio
import json

import pytest
import torch

from recipes.errors import RecipeError
from recipes.slots.registry import call_on_run_start, function_of
from rewards.types import Message
from tests.support.builders import problem
from tests.support.reward_models import tiny_reward_model
from trainer.reward_models.decomposition import decompose
from trainer.reward_models.host import LocalModelSpec, reward_host
from trainer.verifiers import verifier

ASKED = problem(prompt="Say something.", answer="")
SAID = (Message(role="user", content="Say something."),)
SHORT = ["a", "bb", "ccc", "dd", "eee"]
LONG = ["mmmmmmmmmmmmm", "nnnnnnnnnnnnnnn", "oooooooooooo", "pppppppppppppp", "qqqqqqqqqqqqq"]


def folder_with_heads(tmp_path):
    """A random reward model whose directions come from pairs of short and long responses."""
    folder = tiny_reward_model(tmp_path / "model")
    host = reward_host(LocalModelSpec(path=str(folder)))
    asked = [(SAID, text) for pair in zip(SHORT, LONG, strict=True) for text in pair]
    found = torch.stack([s.embedding for s in host.score_all(asked, embed=True)])
    signs = torch.tensor([[1], [-1], [1], [-1], [1]])  # the directions do not depend on who wins
    decompose(found[0::2] * signs, found[1::2] * signs, heads=4).write(folder)
    return folder


def entry(tmp_path, folder, *, likes_short, **options):
    sides = (SHORT, LONG) if likes_short else (LONG, SHORT)
    file = tmp_path / f"short_{likes_short}.jsonl"
    lines = [
        json.dumps({"prompt": "Say something.", "chosen": chosen, "rejected": rejected})
        for chosen, rejected in list(zip(*sides, strict=True))[:4]
    ]
    file.write_text("\n".join(lines))
    local = {"path": str(folder)}
    return {"name": "decomposed_reward", "local": local, "preferences": str(file), **options}


def rewards(bound, responses):
    async def all_of_them():
        return await asyncio.gather(*(function_of(bound)(ASKED, text) for text in responses))

    return asyncio.run(all_of_them())


def test_two_users_with_opposite_tastes_get_opposite_rewards(tmp_path):
    folder = folder_with_heads(tmp_path)
    gaps = {}
    for likes_short in (True, False):
        bound = verifier.bind(entry(tmp_path, folder, likes_short=likes_short))
        call_on_run_start(bound)
        short, long = rewards(bound, [SHORT[-1], LONG[-1]])  # the pair that the user did not see
        gaps[likes_short] = short.reward - long.reward
        assert short.components.keys() == {"output"}
    assert gaps[True] > 0.1
    assert gaps[False] < -0.1


def test_the_reward_models_own_output_is_a_component(tmp_path):
    folder = folder_with_heads(tmp_path)
    [found] = rewards(verifier.bind(entry(tmp_path, folder, likes_short=True)), ["a"])
    [alone] = reward_host(LocalModelSpec(path=str(folder))).score_all([(SAID, "a")])
    assert found.components["output"] == pytest.approx(alone.reward, abs=1e-5)


def test_a_response_that_is_too_long_is_missing(tmp_path):
    folder = folder_with_heads(tmp_path)
    local = {"path": str(folder), "max_length": 60}
    bound = verifier.bind(entry(tmp_path, folder, likes_short=True, local=local))
    assert rewards(bound, ["x" * 60])[0].is_missing


@pytest.mark.parametrize("broken", ["model", "preferences", "long"])
def test_what_is_not_there_is_found_before_a_run(tmp_path, broken):
    folder = tiny_reward_model(tmp_path / "model")
    options = entry(tmp_path, folder, likes_short=True)
    if broken != "model":
        decompose(torch.randn(6, 64), torch.randn(6, 64), heads=2).write(folder)
    if broken == "preferences":
        options["preferences"] = str(tmp_path / "gone.jsonl")
    if broken == "long":
        options["local"] = {"path": str(folder), "max_length": 5}
    words = {"model": "decomposition", "preferences": "gone.jsonl", "long": "reads at most 5"}
    with pytest.raises(RecipeError, match=words[broken]):
        call_on_run_start(verifier.bind(options))
