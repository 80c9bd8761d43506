"""vLLM in process (its CPU build serves) against plain forwards and against the hf engine."""

import asyncio
import random
import sys

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from recipes.errors import RecipeError
from rollout.attention import ATTENTION
from rollout.engines.hf import hf
from rollout.engines.vllm import vllm
from rollout.engines.vllm_embedded.start import Placement, check_placement
from rollout.generation import EngineContext
from rollout.types import EngineDied, EngineError, Finish, Sampling
from tests.support.engines import gap, served
from tests.support.models import END, VOCABULARY, WIDE, Source, random_model, tiny_model

SHORT = [5, 6, 7, 8]
LONG = [3 + i % 37 for i in range(300)]  # two whole blocks of the prefix cache, and more


def context(folder, **facts):
    settings = {"context_length": 400, "stop_ids": (END,), "seed": 0, **facts}
    return EngineContext(folder=folder, dtype="float32", **settings)


def model(arch="qwen2", seed=0, **changes):
    return random_model(arch, seed=seed, **{**WIDE, **changes})


def folder_of(tmp_path, arch="qwen2", **changes):
    return tiny_model(tmp_path / "model", arch, **{**WIDE, **changes})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "tied"),
    [("qwen2", True), ("qwen2", False), ("qwen3", True), ("llama", False), ("gemma2", True)],
)
def test_a_push_arrives_whole_and_forgets_the_old_cache(arch, tied, tmp_path):
    folder = folder_of(tmp_path, arch, tied=tied)

    async def scenario(engine):
        drawn = [await engine.generate(LONG, Sampling(max_tokens=8, seed=4), 3)]
        for version in (1, 2):
            pushed = Source(model=model(arch, version, tied=tied), folder=folder)
            await engine.load_weights(pushed, version)
            drawn.append(await engine.generate(LONG, Sampling(max_tokens=8, seed=4), 3))
        return drawn

    for version, group in enumerate(served(vllm(context(folder)), scenario)):
        reference = model(arch, version, tied=tied)
        assert max(gap(reference, LONG, completion) for completion in group) < 1e-4
        assert all((c.policy_version == version).all() for c in group)


@pytest.mark.slow
def test_hf_and_vllm_say_the_same(tmp_path):
    folder = folder_of(tmp_path, "qwen3")
    shared = random_model("qwen3", seed=1, attention=ATTENTION, **WIDE)
    greedy = Sampling(max_tokens=20, temperature=0.0)

    async def scenario(engine):
        await engine.load_weights(Source(model=shared, folder=folder, shared=True), 1)
        return [await engine.generate(prompt, greedy, 1) for prompt in (SHORT, LONG)]

    ours, theirs = (served(make(context(folder)), scenario) for make in (hf, vllm))
    for (left,), (right,) in zip(ours, theirs, strict=True):
        assert left.token_ids.tolist() == right.token_ids.tolist()
        assert np.allclose(left.logprobs, right.logprobs, atol=1e-4)
        assert left.finish == right.finish


@pytest.mark.slow
def test_logprobs_are_under_temperature_and_top_p(tmp_path):
    folder = folder_of(tmp_path)
    sampling = Sampling(max_tokens=6, temperature=0.7, top_p=0.8, seed=1)

    async def scenario(engine):
        return await engine.generate(SHORT, sampling, 4)

    for completion in served(vllm(context(folder)), scenario):
        ids = torch.tensor([[*SHORT, *completion.token_ids.tolist()]])
        logits = model()(input_ids=ids).logits[0, len(SHORT) - 1 : -1].detach() / 0.7
        probs = logits.softmax(-1)
        for row, token, logprob in zip(
            probs, completion.token_ids, completion.logprobs, strict=True
        ):
            ordered = row.sort(descending=True).values
            kept = ordered[: int((ordered.cumsum(0) < 0.8).sum()) + 1].sum()
            assert float((row[token] / kept).log()) == pytest.approx(logprob, abs=1e-4)


@pytest.mark.slow
def test_a_push_in_flight_stamps_each_token(tmp_path):
    folder = folder_of(tmp_path)
    old, new = model(), model(seed=1)

    async def scenario(engine):
        call = engine.generate(SHORT, Sampling(max_tokens=30, seed=1), 3)
        task = asyncio.create_task(call)
        for _ in range(9):
            await asyncio.sleep(0)
        await engine.load_weights(Source(model=new, folder=folder), 1)
        return await task

    for completion in served(vllm(context(folder, stop_ids=())), scenario):
        switch = int((completion.policy_version == 0).sum())
        assert 0 < switch < 30
        assert completion.policy_version.tolist() == [0] * switch + [1] * (30 - switch)
        assert gap(old, SHORT, completion, last=switch) < 1e-4
        assert gap(new, SHORT, completion, first=switch) < 1e-4


@pytest.mark.slow
def test_each_push_of_an_adapter_is_the_one_in_use(tmp_path):
    folder = folder_of(tmp_path)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=4, init_lora_weights=False, target_modules="all-linear"
    )
    adapted = []
    for version in (1, 2):
        torch.manual_seed(version)
        adapted.append(get_peft_model(model(), lora).eval())
        adapted[-1].save_pretrained(tmp_path / str(version))

    async def scenario(engine):
        drawn = []
        for version, policy in enumerate(adapted, 1):
            source = Source(model=policy, folder=folder, adapter=tmp_path / str(version))
            await engine.load_weights(source, version)
            drawn.append(await engine.generate(LONG, Sampling(max_tokens=8), 2))
        return drawn

    drawn = served(vllm(context(folder, max_lora_rank=4)), scenario)
    for policy, group in zip(adapted, drawn, strict=True):
        assert max(gap(policy, LONG, completion) for completion in group) < 1e-4
        assert gap(model(), LONG, group[0]) > 1e-2


@pytest.mark.slow
def test_two_workers_share_the_layers_and_take_a_push_from_disk(tmp_path):
    folder = folder_of(tmp_path)
    pushed = model(seed=1)

    async def scenario(engine):
        await engine.load_weights(Source(model=pushed, folder=folder), 1)
        return await engine.generate(LONG, Sampling(max_tokens=8), 2)

    engine = vllm(context(folder), tensor_parallel_size=2)
    assert max(gap(pushed, LONG, completion) for completion in served(engine, scenario)) < 1e-4


@pytest.mark.slow
def test_a_refused_prompt_and_a_cancelled_call_leave_the_others_alone(tmp_path):
    folder = folder_of(tmp_path)

    async def scenario(engine):
        alone = await engine.generate(SHORT, Sampling(max_tokens=6, seed=1), 2)
        gone = asyncio.create_task(engine.generate(SHORT, Sampling(max_tokens=200), 4))
        await asyncio.sleep(0)
        kept = asyncio.create_task(engine.generate(SHORT, Sampling(max_tokens=6, seed=1), 2))
        await asyncio.sleep(0)
        gone.cancel()
        for prompt in ([], [VOCABULARY]):
            with pytest.raises(EngineError, match=r"0\.\.39"):
                await engine.generate(prompt, Sampling(max_tokens=2), 1)
        return alone, await kept

    alone, kept = served(vllm(context(folder, stop_ids=())), scenario)
    assert [c.token_ids.tolist() for c in alone] == [c.token_ids.tolist() for c in kept]


@pytest.mark.slow
def test_weights_that_are_not_numbers_kill_the_engine(tmp_path):
    folder = folder_of(tmp_path)
    broken = model()
    with torch.no_grad():
        broken.model.norm.weight.fill_(torch.nan)

    async def scenario(engine):
        await engine.load_weights(Source(model=broken, folder=folder), 1)
        for _ in range(2):
            with pytest.raises(EngineDied, match="not finite") as died:
                await engine.generate(SHORT, Sampling(max_tokens=4), 1)
            assert isinstance(died.value.__cause__, FloatingPointError)

    served(vllm(context(folder)), scenario)


@pytest.mark.slow
def test_a_push_that_fails_half_way_kills_the_engine_and_its_calls(tmp_path):
    folder = folder_of(tmp_path)

    class Torn(Source):
        def named_tensors(self):
            yield from list(super().named_tensors())[:2]
            raise OSError("the other end hung up")

    async def scenario(engine):
        pending = asyncio.create_task(engine.generate(SHORT, Sampling(max_tokens=300), 2))
        await asyncio.sleep(0)
        for call in (engine.load_weights(Torn(model=model(), folder=folder), 1), pending):
            with pytest.raises(EngineDied, match="the other end hung up"):
                await call

    served(vllm(context(folder, stop_ids=())), scenario)


@pytest.mark.slow
def test_starting_vllm_leaves_the_processs_random_numbers_and_threads_alone(tmp_path):
    folder = folder_of(tmp_path)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(7)
    expected = random.random(), np.random.rand(), float(torch.rand(()))
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(7)
    served(vllm(context(folder)), lambda engine: engine.generate(SHORT, Sampling(max_tokens=1), 1))
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_num_threads(before := torch.get_num_threads() - 1)
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_settings_that_vllm_refuses_are_the_recipes_fault(tmp_path):
    engine = vllm(context(folder_of(tmp_path), context_length=10_000))
    with pytest.raises(RecipeError, match="vLLM refuses these settings"):
        asyncio.run(engine.generate(SHORT, Sampling(max_tokens=1), 1))


def placement(**changes):
    settings = {
        "eager": "cpu",
        "gpu_memory_utilization": 0.4,
        "tensor_parallel_size": 1,
        "max_sequences": 8,
        "sleep": False,
    }
    return Placement(**{**settings, **changes})


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(RecipeError, match=r"pip install 'temper-rl\[vllm\]'"):
        check_placement(placement())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_sleep_without_a_gpu_is_refused():
    pytest.importorskip("vllm.version")
    with pytest.raises(RecipeError, match="no GPU here"):
        check_placement(placement(sleep=True))


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="sleep needs a GPU")
def test_a_sleeping_engine_gives_memory_back_and_takes_a_push(tmp_path):
    folder = folder_of(tmp_path)
    pushed = model(seed=1)

    async def scenario(engine):
        await engine.generate(SHORT, Sampling(max_tokens=4), 1)
        asleep, _ = torch.cuda.mem_get_info()
        await engine.load_weights(Source(model=pushed.cuda(), folder=folder), 1)
        awake, _ = torch.cuda.mem_get_info()
        first = await engine.generate(LONG, Sampling(max_tokens=8), 2)
        return asleep - awake, first, await engine.generate(LONG, Sampling(max_tokens=8), 2)

    freed, first, second = served(
        vllm(context(folder), gpu_memory_utilization=0.3, sleep=True), scenario
    )
    assert freed > 2**30
    pushed.cpu()
    for completion in (*first, *second):
        assert gap(pushed, LONG, completion) < 1e-3
        assert completion.finish in (Finish.STOP, Finish.LENGTH)


@pytest.mark.slow
def test_more_seeded_prompts_than_fit_in_one_step_are_sampled(tmp_path):
    """12,000 tokens of prompts: vLLM on a CPU fails where it computes a seeded one in parts."""
    folder = folder_of(tmp_path)
    prompts = [[3 + (i + k) % 37 for i in range(300)] for k in range(40)]

    async def scenario(engine):
        sampling = Sampling(max_tokens=4, seed=4)
        return await asyncio.gather(*(engine.generate(prompt, sampling, 1) for prompt in prompts))

    found = served(vllm(context(folder)), scenario)
    worst = max(gap(model(), prompt, c) for prompt, (c,) in zip(prompts, found, strict=True))
    assert worst < 1e-4


@pytest.mark.slow
def test_a_head_size_that_the_machine_has_no_kernel_for_is_refused_before_sampling(tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2")  # head_dim 8

    async def scenario(engine):
        with pytest.raises(RecipeError) as refused:
            await engine.generate(SHORT, Sampling(max_tokens=4, seed=4), 1)
        return str(refused.value)

    found = served(vllm(context(folder)), scenario)
    assert found.startswith(f"engine: vLLM cannot run the model {folder} here: ")
    assert "heads have a size (head_dim) of 8" in found and "lists 32, 64, 80" in found
    assert "use engine hf" in found
