"""What every engine promises, whatever samples behind it."""

import asyncio
import itertools

import numpy as np
import pytest
from transformers import AutoTokenizer

from rollout.attention import ATTENTION
from rollout.engines import engine
from rollout.engines.hf import hf
from rollout.engines.scripted import Scripted, completion
from rollout.engines.vllm import vllm
from rollout.engines.vllm_server import vllm_server
from rollout.generation import EngineContext
from rollout.types import EngineDied, Finish, Sampling
from tests.support.models import END, VOCABULARY, WIDE, Source, random_model, save_words, tiny_model
from tests.support.servers import KEY, shared_server

PROMPT = [5, 6, 7, 8]


def scripted(context):
    """Pseudo-random replies that hold the end token, if at all, as their last."""

    def script(prompt_ids, i):
        numbers = np.random.default_rng([*prompt_ids, i])
        ids = numbers.integers(END + 1, VOCABULARY, size=numbers.integers(2, 9)).tolist()
        return completion([*ids, END])

    return Scripted(script)


def elsewhere(context):
    """The engine on the server that all tests share; `played` gives it this test's weights."""
    return vllm_server(context, urls=(shared_server()[0],), api_key_env=KEY)


MODELS = [
    pytest.param(hf, id="hf"),
    pytest.param(vllm, id="vllm", marks=pytest.mark.slow),
    pytest.param(elsewhere, id="vllm_server", marks=pytest.mark.slow),
]
ALL = [pytest.param(scripted, id="scripted"), *MODELS]


def played(make, tmp_path, scenario, *, length=200, stop=(END,)):
    """The scenario's result on a fresh engine that has been given version 7."""
    folder = tiny_model(tmp_path / "model", "qwen2", **WIDE)
    save_words(folder)
    source = Source(
        model=random_model("qwen2", attention=ATTENTION, **WIDE), folder=folder, shared=True
    )
    context = EngineContext(
        folder=folder, dtype="float32", context_length=length, stop_ids=stop, seed=0
    )

    async def run():
        made = make(context)
        try:
            await made.load_weights(source, 7)
            return await scenario(made)
        finally:
            await made.close()

    return asyncio.run(run())


def ids(completions):
    return [c.token_ids.tolist() for c in completions]


def test_every_registered_engine_is_under_contract():
    assert set(engine.names()) == {param.id for param in ALL}


@pytest.mark.parametrize("make", ALL)
def test_completions_have_their_shapes_and_types(make, tmp_path):
    async def scenario(made):
        return await made.generate(PROMPT, Sampling(max_tokens=10, seed=3), 5)

    group = played(make, tmp_path, scenario)
    assert len(group) == 5
    for c in group:
        assert c.token_ids.dtype == np.int32
        assert c.logprobs.dtype == np.float32
        assert c.policy_version.dtype == np.int32
        assert 0 < len(c.token_ids) == len(c.logprobs) == len(c.policy_version) <= 10
        assert (c.token_ids >= 0).all()
        assert (c.token_ids < VOCABULARY).all()
        assert np.isfinite(c.logprobs).all()
        assert (c.logprobs <= 0).all()


@pytest.mark.parametrize("make", ALL)
def test_tokens_carry_the_version_that_was_loaded_last(make, tmp_path):
    async def scenario(made):
        first = await made.generate(PROMPT, Sampling(max_tokens=4), 2)
        model = random_model("qwen2", attention=ATTENTION, **WIDE)
        await made.load_weights(Source(model=model, folder=tmp_path / "model", shared=True), 8)
        return first, await made.generate(PROMPT, Sampling(max_tokens=4), 2)

    first, second = played(make, tmp_path, scenario)
    assert {int(v) for c in first for v in c.policy_version} == {7}
    assert {int(v) for c in second for v in c.policy_version} == {8}


@pytest.mark.parametrize("make", ALL)
def test_the_samples_of_a_call_differ(make, tmp_path):
    async def scenario(made):
        return await made.generate(PROMPT, Sampling(max_tokens=10, seed=3), 6)

    assert len({tuple(reply) for reply in ids(played(make, tmp_path, scenario))}) > 3


@pytest.mark.parametrize("make", ALL)
def test_a_completion_stops_with_its_end_token_or_by_length(make, tmp_path):
    async def scenario(made):
        return await made.generate(PROMPT, Sampling(max_tokens=6, seed=3), 32)

    group = played(make, tmp_path, scenario)
    for c in group:
        assert (c.token_ids[:-1] != END).all()
        assert (c.token_ids[-1] == END) == (c.finish is Finish.STOP)
        assert c.finish is Finish.STOP or len(c.token_ids) == 6
    assert {c.finish for c in group} == {Finish.STOP, Finish.LENGTH}


@pytest.mark.parametrize("make", ALL)
def test_concurrent_calls_keep_their_own_results(make, tmp_path):
    prompts = [[5], [6, 7], [8, 9, 10], [5, 6, 7, 8, 9]]

    async def scenario(made):
        calls = [made.generate(p, Sampling(max_tokens=8, seed=1), 3) for p in prompts]
        together = await asyncio.gather(*calls)
        return together, [
            await made.generate(p, Sampling(max_tokens=8, seed=1), 3) for p in prompts
        ]

    together, alone = played(make, tmp_path, scenario)
    assert [ids(group) for group in together] == [ids(group) for group in alone]


@pytest.mark.parametrize("make", ALL)
def test_a_closed_engine_may_be_closed_again_and_serves_nobody(make, tmp_path):
    async def scenario(made):
        await made.generate(PROMPT, Sampling(max_tokens=1), 1)
        await made.close()
        await made.close()
        with pytest.raises(EngineDied, match="closed"):
            await made.generate(PROMPT, Sampling(max_tokens=1), 1)

    played(make, tmp_path, scenario)


@pytest.mark.parametrize("make", MODELS)
def test_seeds_decide_the_samples(make, tmp_path):
    async def scenario(made):
        return [
            ids(await made.generate(PROMPT, Sampling(max_tokens=8, seed=seed), 3))
            for seed in (3, 3, 4)
        ]

    first, again, other = played(make, tmp_path, scenario)
    assert first == again
    assert first != other


@pytest.mark.parametrize("make", MODELS)
def test_a_sample_depends_on_its_number_and_not_on_how_many_there_are(make, tmp_path):
    async def scenario(made):
        return [ids(await made.generate(PROMPT, Sampling(max_tokens=8, seed=3), n)) for n in (2, 5)]

    few, many = played(make, tmp_path, scenario)
    assert many[:2] == few


@pytest.mark.parametrize("make", MODELS)
def test_temperature_zero_always_says_the_same(make, tmp_path):
    async def scenario(made):
        return [
            ids(await made.generate(PROMPT, Sampling(max_tokens=8, temperature=0, seed=s), 2))
            for s in (1, 2)
        ]

    (a, b), (c, d) = played(make, tmp_path, scenario)
    assert a == b == c == d


@pytest.mark.parametrize("make", MODELS)
def test_the_context_bounds_prompt_and_completion_together(make, tmp_path):
    async def scenario(made):
        cut = await made.generate([5] * 6, Sampling(max_tokens=20), 2)
        return cut, await made.generate([5] * 10, Sampling(max_tokens=20), 2)

    cut, full = played(make, tmp_path, scenario, length=10, stop=())
    assert [(len(c.token_ids), c.finish) for c in cut] == [(4, Finish.LENGTH)] * 2
    assert [(len(c.token_ids), c.finish) for c in full] == [(0, Finish.LENGTH)] * 2


@pytest.mark.parametrize("make", MODELS)
def test_a_stop_string_ends_a_sample_after_its_last_token(make, tmp_path):
    async def scenario(made):
        (free,) = ids(await made.generate(PROMPT, Sampling(max_tokens=12, seed=3), 1))
        words = AutoTokenizer.from_pretrained(tmp_path / "model").decode(free[4:6])
        cut = Sampling(max_tokens=12, seed=3, stop=("never", words[1:]))
        return free, (await made.generate(PROMPT, cut, 1))[0]

    free, cut = played(make, tmp_path, scenario, stop=())
    pairs = list(itertools.pairwise(free))
    assert cut.token_ids.tolist() == free[: pairs.index((free[4], free[5])) + 2]
    assert cut.finish is Finish.STOP
    assert len(cut.token_ids) < 12
