"""The embedded engine against plain forwards of the same module."""

import asyncio

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from recipes.errors import RecipeError
from rollout.attention import ATTENTION
from rollout.engines.embedded.engine import HfEngine
from rollout.generation import EngineContext
from rollout.types import EngineDied, EngineError, Finish, Sampling
from tests.support.models import (
    ARCHITECTURES,
    END,
    VOCABULARY,
    Source,
    next_logprobs,
    random_model,
    tiny_model,
)

PROMPTS = ([5, 6, 7], [9], [11, 12, 13, 14, 15, 16], [5, 6, 7, 8])


def context(folder, *, length=128, stop=(END,)):
    return EngineContext(
        folder=folder, dtype="float32", context_length=length, stop_ids=stop, seed=0
    )


def shared(model, folder, **changes):
    return Source(model=model, folder=folder, shared=True, **changes)


def answers(model, folder, calls, *, max_batch=256, version=1, **facts):
    """What the engine returns for concurrent calls (prompt, sampling, n)."""

    async def run():
        engine = HfEngine(context(folder, **facts), max_batch)
        await engine.load_weights(shared(model, folder), version)
        replies = await asyncio.gather(*(engine.generate(*call) for call in calls))
        await engine.close()
        return replies

    return asyncio.run(run())


def calls(n=3, **sampling):
    settings = {"max_tokens": 12, **sampling}
    return [(p, Sampling(seed=100 + i, **settings), n) for i, p in enumerate(PROMPTS)]


def gap(model, prompt, completion, temperature=1.0):
    """Largest difference of the engine's log-probs from the model's own."""
    ids = [*prompt, *completion.token_ids.tolist()]
    own = next_logprobs(model, ids, temperature=temperature)[len(prompt) - 1 :]
    return float(np.abs(own.numpy() - completion.logprobs).max())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_logprobs_are_those_of_a_plain_forward(arch, tmp_path):
    model, reference = random_model(arch, attention=ATTENTION), random_model(arch)
    for (prompt, _, _), group in zip(calls(), answers(model, tmp_path, calls()), strict=True):
        assert max(gap(reference, prompt, completion) for completion in group) < 1e-4


def test_temperature_is_part_of_the_sampling_distribution(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    asked = calls(temperature=0.7)
    for (prompt, _, _), group in zip(asked, answers(model, tmp_path, asked), strict=True):
        assert max(gap(model, prompt, completion, 0.7) for completion in group) < 1e-4


def test_greedy_follows_the_likeliest_token(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    (group,) = answers(model, tmp_path, [(PROMPTS[0], Sampling(max_tokens=6, temperature=0), 2)])
    ids = list(PROMPTS[0])
    for token in group[0].token_ids:
        assert int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(int(token))
    assert group[0].token_ids.tolist() == group[1].token_ids.tolist()
    assert gap(model, PROMPTS[0], group[0]) < 1e-4


@pytest.mark.parametrize("max_batch", [1, 2, 5])
def test_samples_do_not_depend_on_who_else_is_in_the_batch(max_batch, tmp_path):
    model = random_model("qwen3", attention=ATTENTION)
    together = answers(model, tmp_path, calls())
    narrow = answers(model, tmp_path, calls(), max_batch=max_batch)
    for left, right in zip(together, narrow, strict=True):
        for a, b in zip(left, right, strict=True):
            assert a.token_ids.tolist() == b.token_ids.tolist()
            assert np.allclose(a.logprobs, b.logprobs, atol=1e-5)


def test_the_same_calls_give_the_same_bits(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    first, second = (answers(model, tmp_path, calls()) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        for a, b in zip(left, right, strict=True):
            assert np.array_equal(a.token_ids, b.token_ids)
            assert np.array_equal(a.logprobs, b.logprobs)


def test_first_tokens_follow_the_models_distribution(tmp_path):
    model = random_model("qwen2", attention=ATTENTION, initializer_range=0.1)
    (group,) = answers(model, tmp_path, [(PROMPTS[0], Sampling(max_tokens=1), 4000)])
    drawn = np.bincount([c.token_ids[0] for c in group], minlength=VOCABULARY) / 4000
    logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1]
    assert np.abs(drawn - logits.softmax(-1).detach().numpy()).max() < 0.04  # 5 standard errors


def test_an_end_token_ends_a_sample_and_is_its_last_id(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    ends = tuple(range(0, VOCABULARY, 3))
    groups = answers(model, tmp_path, calls(n=8), stop=ends)
    assert [len(group) for group in groups] == [8] * len(calls(n=8))
    for group in groups:
        for completion in group:
            stopped = np.isin(completion.token_ids, ends)
            assert not stopped[:-1].any()
            assert stopped[-1] == (completion.finish is Finish.STOP)
            assert stopped[-1] or len(completion.token_ids) == 12


def test_a_full_context_ends_a_sample_by_length(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    asked = [(PROMPTS[2], Sampling(max_tokens=12), 1), ([5] * 10, Sampling(max_tokens=12), 2)]
    cut, full = answers(model, tmp_path, asked, length=10, stop=())
    assert (len(cut[0].token_ids), cut[0].finish) == (4, Finish.LENGTH)
    assert [(len(c.token_ids), c.finish) for c in full] == [(0, Finish.LENGTH)] * 2


def test_stop_strings_need_a_tokenizer(tmp_path):
    with pytest.raises(RecipeError, match="has none"):
        answers(random_model("qwen2", attention=ATTENTION), tmp_path, calls(stop=("x",)))


def test_a_push_in_flight_stamps_each_token_and_forgets_the_old_cache(tmp_path):
    old, new = (random_model("qwen3", attention=ATTENTION, seed=seed) for seed in (0, 1))
    prompt = PROMPTS[2]

    async def run():
        engine = HfEngine(context(tmp_path, stop=()), 4)
        await engine.load_weights(shared(old, tmp_path), 3)
        task = asyncio.create_task(engine.generate(prompt, Sampling(max_tokens=20), 6))
        for _ in range(8):
            await asyncio.sleep(0)
        await engine.load_weights(shared(new, tmp_path), 4)
        return await task

    group = asyncio.run(run())
    switches = [int((c.policy_version == 3).sum()) for c in group]
    assert switches[0] > 0
    assert switches[4:] == [0, 0]  # still waiting for a slot
    for completion, switch in zip(group, switches, strict=True):
        assert completion.policy_version.tolist() == [3] * switch + [4] * (20 - switch)
        ids = [*prompt, *completion.token_ids.tolist()]
        before, after = (next_logprobs(m, ids)[len(prompt) - 1 :] for m in (old, new))
        expected = torch.cat([before[:switch], after[switch:]]).numpy()
        assert np.abs(expected - completion.logprobs).max() < 1e-4


def test_a_replica_takes_tensors_by_name(tmp_path):
    folder = tiny_model(tmp_path, "qwen2", tied=True)
    pushed = random_model("qwen2", tied=True, seed=1)

    async def run():
        engine = HfEngine(context(folder), 8)
        first = await engine.generate(PROMPTS[0], Sampling(max_tokens=6), 2)
        await engine.load_weights(Source(model=pushed, folder=folder), 1)
        return first, await engine.generate(PROMPTS[0], Sampling(max_tokens=6), 2)

    first, second = asyncio.run(run())
    assert gap(random_model("qwen2", tied=True), PROMPTS[0], first[0]) < 1e-4
    assert gap(pushed, PROMPTS[0], second[0]) < 1e-4
    assert [c.policy_version[0] for c in (*first, *second)] == [0, 0, 1, 1]


def test_a_replica_refuses_weights_that_do_not_all_arrive(tmp_path):
    folder = tiny_model(tmp_path, "qwen2", tied=False)

    class Partial(Source):
        def named_tensors(self):
            yield from list(super().named_tensors())[:-1]

    engine = HfEngine(context(folder), 8)
    partial = Partial(model=random_model("qwen2", tied=False), folder=folder)
    with pytest.raises(EngineDied, match=r"never arrived: lm_head\.weight"):
        asyncio.run(engine.load_weights(partial, 1))


def test_adapters_are_active_while_sampling(tmp_path):
    base = random_model("qwen2", attention=ATTENTION)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, init_lora_weights=False, lora_dropout=0.5)
    torch.manual_seed(0)
    adapted = get_peft_model(base, lora).train()
    group = answers(adapted, tmp_path, calls(n=1))[0]
    assert all(m.training for m in adapted.modules() if isinstance(m, torch.nn.Dropout))
    assert gap(adapted.eval(), PROMPTS[0], group[0]) < 1e-4
    with adapted.disable_adapter():
        assert gap(adapted, PROMPTS[0], group[0]) > 1e-2


def test_the_modules_mode_is_restored(tmp_path):
    model = random_model("qwen2", attention=ATTENTION).train()
    model.model.norm.eval()
    answers(model, tmp_path, calls())
    assert model.training
    assert not model.model.norm.training


def test_a_cancelled_call_leaves_the_batch(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)

    async def run():
        engine = HfEngine(context(tmp_path, stop=()), 3)
        await engine.load_weights(shared(model, tmp_path), 1)
        long = asyncio.create_task(engine.generate(PROMPTS[0], Sampling(max_tokens=100), 5))
        short = asyncio.create_task(engine.generate(PROMPTS[1], Sampling(max_tokens=4), 2))
        await asyncio.sleep(0.01)
        long.cancel()
        replies = await short
        assert long.cancelled() or long.cancelling()
        return replies

    alone = answers(model, tmp_path, [(PROMPTS[1], Sampling(max_tokens=4), 2)], stop=())[0]
    for a, b in zip(asyncio.run(run()), alone, strict=True):
        assert a.token_ids.tolist() == b.token_ids.tolist()


def test_what_was_cancelled_is_computed_no_further(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    forwards = []
    model.register_forward_hook(lambda *_: forwards.append(1))

    async def run():
        engine = HfEngine(context(tmp_path, stop=()), 3)
        await engine.load_weights(shared(model, tmp_path), 1)
        call = asyncio.create_task(engine.generate(PROMPTS[0], Sampling(max_tokens=100), 5))
        while len(forwards) < 3:
            await asyncio.sleep(0)
        call.cancel()
        for _ in range(200):
            await asyncio.sleep(0)
        await engine.close()

    asyncio.run(run())
    assert len(forwards) <= 4  # of 200: five samples of 100 tokens, three at once


def test_a_long_completion_has_the_models_own_logprobs(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    call = (PROMPTS[0], Sampling(max_tokens=100, seed=1), 2)  # past the 64 tokens cached at first
    [drawn] = answers(model, tmp_path, [call], stop=())
    for one in drawn:
        assert len(one.token_ids) == 100
        assert gap(model, PROMPTS[0], one) < 1e-4


def test_ids_outside_the_vocabulary_fail_only_their_own_call(tmp_path):
    async def run():
        engine = HfEngine(context(tmp_path), 8)
        model = random_model("qwen2", attention=ATTENTION)
        await engine.load_weights(shared(model, tmp_path), 1)
        for prompt in ([], [VOCABULARY]):
            with pytest.raises(EngineError, match=r"0\.\.39"):
                await engine.generate(prompt, Sampling(max_tokens=2), 1)
        return await engine.generate(PROMPTS[0], Sampling(max_tokens=2), 1)

    assert len(asyncio.run(run())) == 1


def test_weights_that_are_not_numbers_kill_the_engine(tmp_path):
    model = random_model("qwen2", attention=ATTENTION)
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    with pytest.raises(EngineDied, match="logits are not finite"):
        answers(model, tmp_path, calls())


def test_closing_fails_what_is_pending_and_what_comes_later(tmp_path):
    async def run():
        engine = HfEngine(context(tmp_path), 8)
        model = random_model("qwen2", attention=ATTENTION)
        await engine.load_weights(shared(model, tmp_path), 1)
        pending = asyncio.create_task(engine.generate(PROMPTS[0], Sampling(max_tokens=99), 1))
        await asyncio.sleep(0)
        await engine.close()
        await engine.close()
        for call in (pending, engine.generate(PROMPTS[0], Sampling(max_tokens=1), 1)):
            with pytest.raises(EngineDied, match="closed"):
                await call

    asyncio.run(run())


def test_models_without_the_attention_interface_are_refused(tmp_path):
    engine = HfEngine(context(tmp_path), 8)
    source = shared(random_model("mamba"), tmp_path)
    with pytest.raises(RecipeError, match="use engine vllm"):
        asyncio.run(engine.load_weights(source, 1))


def test_a_model_that_computes_a_layers_attention_twice_is_refused_before_sampling(tmp_path):
    with pytest.raises(RecipeError, match=r"engine: .* DiffLlamaForCausalLM: its log-probs with a"):
        answers(random_model("diffllama", attention=ATTENTION), tmp_path, calls())
