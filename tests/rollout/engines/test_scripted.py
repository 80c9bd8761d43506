import asyncio

import pytest

from recipes.slots.registry import build
from rollout.engines import engine
from rollout.engines.scripted import Scripted, completion
from rollout.generation import EngineContext
from rollout.types import EngineDied, EngineError, Finish, Sampling
from trainer.models.tiny import make_tokenizer

ANY = None  # the fake takes no weights


def draw(engine, prompt=(1,), n=2, max_tokens=8):
    return asyncio.run(engine.generate(prompt, Sampling(max_tokens=max_tokens), n))


def test_sample_i_is_what_the_script_says():
    engine = Scripted(lambda prompt, i: completion([*prompt, i], logprob=-0.5))
    first, second = draw(engine, prompt=(4, 5))
    assert first.token_ids.tolist() == [4, 5, 0]
    assert second.token_ids.tolist() == [4, 5, 1]
    assert second.logprobs.tolist() == [-0.5] * 3
    assert second.finish is Finish.STOP


def test_tokens_carry_the_loaded_version():
    engine = Scripted(lambda prompt, i: completion([7, 8]))
    assert draw(engine)[0].policy_version.tolist() == [0, 0]
    asyncio.run(engine.load_weights(ANY, 3))
    assert draw(engine)[0].policy_version.tolist() == [3, 3]


def test_a_reply_is_cut_at_max_tokens():
    engine = Scripted(lambda prompt, i: completion([7, 8, 9]))
    [cut] = draw(engine, n=1, max_tokens=2)
    assert cut.token_ids.tolist() == [7, 8]
    assert len(cut.logprobs) == len(cut.policy_version) == 2
    assert cut.finish is Finish.LENGTH
    [whole] = draw(engine, n=1, max_tokens=3)
    assert whole.finish is Finish.STOP


def test_turns_decide_who_ends_first():
    ended = []

    async def ask(engine, prompt):
        await engine.generate([prompt], Sampling(max_tokens=1), 1)
        ended.append(prompt)

    async def race():
        engine = Scripted(lambda prompt, i: completion([1]), turns=lambda prompt: prompt[0])
        await asyncio.gather(*(ask(engine, turns) for turns in (5, 1, 3)))

    asyncio.run(race())
    assert ended == [1, 3, 5]


def test_a_script_may_play_a_failure():
    def script(prompt, i):
        raise EngineError("no room")

    with pytest.raises(EngineError, match="no room"):
        draw(Scripted(script))


def test_a_closed_engine_is_gone():
    engine = Scripted(lambda prompt, i: completion([1]))
    asyncio.run(engine.close())
    asyncio.run(engine.close())
    with pytest.raises(EngineDied):
        draw(engine)


def test_a_recipe_names_the_replies_that_samples_get_in_turn(tmp_path):
    tokenizer = make_tokenizer("0123456789#", 64)
    tokenizer.save_pretrained(tmp_path)
    context = EngineContext(
        folder=tmp_path,
        dtype="float32",
        context_length=64,
        stop_ids=[tokenizer.eos_token_id],
        seed=0,
    )
    made = build(engine.bind({"name": "scripted", "replies": ["#12", "#3"]}), context)
    drawn = draw(made, n=3)
    assert [tokenizer.decode(c.token_ids) for c in drawn] == [
        "#12<|end|>",
        "#3<|end|>",
        "#12<|end|>",
    ]
