"""vLLM servers on loopback (the CPU build) against plain forwards; how they end and are ended."""

import asyncio
import os
import signal
import socket
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
import torch
from peft import LoraConfig, get_peft_model

from recipes.errors import RecipeError
from rollout.engines import engine
from rollout.engines.vllm_remote.launch import LaunchSpec, environment
from rollout.engines.vllm_server import vllm_server
from rollout.generation import EngineContext
from rollout.types import EngineDied, EngineError, Sampling
from tests.support.engines import gap, served
from tests.support.models import END, VOCABULARY, WIDE, Source, random_model, tiny_model
from tests.support.servers import KEY, running, shared_server

SHORT = [5, 6, 7, 8]
LONG = [3 + i % 37 for i in range(300)]  # two whole blocks of the prefix cache, and more


def context(folder, **facts):
    settings = {"dtype": "float32", "context_length": 400, "stop_ids": (END,), "seed": 0, **facts}
    return EngineContext(folder=folder, **settings)


def model(seed=0, **changes):
    return random_model("qwen2", seed=seed, **{**WIDE, **changes})


def shared(**facts):
    """An engine on the server that all tests share, and that server's folder."""
    url, folder = shared_server()
    return vllm_server(context(folder, **facts), urls=(url,), api_key_env=KEY), folder


@pytest.mark.slow
def test_a_push_arrives_whole_and_forgets_the_old_cache():
    made, folder = shared()

    async def scenario(made):
        drawn = []
        for version in (1, 2):
            await made.load_weights(Source(model=model(version), folder=folder), version)
            drawn.append(await made.generate(LONG, Sampling(max_tokens=8, seed=4), 3))
        return drawn

    for version, group in enumerate(served(made, scenario), 1):
        assert max(gap(model(version), LONG, completion) for completion in group) < 1e-4
        assert all((c.policy_version == version).all() for c in group)


@pytest.mark.slow
def test_a_push_in_flight_stamps_each_token():
    made, folder = shared(stop_ids=())
    old, new = model(3), model(4)

    async def scenario(made):
        await made.load_weights(Source(model=old, folder=folder), 1)
        call = made.generate(SHORT, Sampling(max_tokens=300, seed=1), 3)
        task = asyncio.create_task(call)
        await asyncio.sleep(0.4)
        await made.load_weights(Source(model=new, folder=folder), 2)
        return await task

    switches = []
    for completion in served(made, scenario):
        switch = int((completion.policy_version == 1).sum())
        assert completion.policy_version.tolist() == [1] * switch + [2] * (300 - switch)
        assert switch == 300 or gap(new, SHORT, completion, first=switch) < 1e-4
        assert switch == 0 or gap(old, SHORT, completion, last=switch) < 1e-4
        switches.append(switch)
    assert max(switches) > 0


@pytest.mark.slow
def test_logprobs_are_under_temperature_and_top_p():
    made, folder = shared()
    sampling = Sampling(max_tokens=6, temperature=0.7, top_p=0.8, seed=1)

    async def scenario(made):
        await made.load_weights(Source(model=model(), folder=folder), 1)
        return await made.generate(SHORT, sampling, 4)

    for completion in served(made, scenario):
        ids = torch.tensor([[*SHORT, *completion.token_ids.tolist()]])
        logits = model()(input_ids=ids).logits[0, len(SHORT) - 1 : -1].detach() / 0.7
        for row, token, logprob in zip(
            logits.softmax(-1), completion.token_ids, completion.logprobs, strict=True
        ):
            ordered = row.sort(descending=True).values
            kept = ordered[: int((ordered.cumsum(0) < 0.8).sum()) + 1].sum()
            assert float((row[token] / kept).log()) == pytest.approx(logprob, abs=1e-4)


@pytest.mark.slow
def test_a_refused_prompt_and_a_cancelled_call_leave_the_others_alone():
    made, folder = shared(stop_ids=())

    async def scenario(made):
        await made.load_weights(Source(model=model(), folder=folder), 1)
        alone = await made.generate(SHORT, Sampling(max_tokens=6, seed=1), 2)
        gone = asyncio.create_task(made.generate(SHORT, Sampling(max_tokens=300), 4))
        await asyncio.sleep(0.1)
        kept = asyncio.create_task(made.generate(SHORT, Sampling(max_tokens=6, seed=1), 2))
        gone.cancel()
        for prompt in ([], [VOCABULARY]):
            with pytest.raises(EngineError, match=r"0\.\.39"):
                await made.generate(prompt, Sampling(max_tokens=2), 1)
        return alone, await kept

    alone, kept = served(made, scenario)
    assert [c.token_ids.tolist() for c in alone] == [c.token_ids.tolist() for c in kept]


@pytest.mark.slow
def test_a_late_answer_is_the_requests_failure_and_not_the_engines():
    url, folder = shared_server()
    made = vllm_server(
        context(folder, stop_ids=()), urls=(url,), api_key_env=KEY, request_timeout_s=0.05
    )

    async def scenario(made):
        await made.load_weights(Source(model=model(), folder=folder), 1)
        for _ in range(2):  # an engine that had died would say so the second time
            with pytest.raises(EngineError, match=r"no answer within 0\.05 s"):
                await made.generate(SHORT, Sampling(max_tokens=390), 8)

    served(made, scenario)


@pytest.mark.slow
def test_weights_that_are_not_numbers_end_the_engine_and_not_the_server():
    made, folder = shared()
    broken = model()
    with torch.no_grad():
        broken.model.norm.weight.fill_(torch.nan)

    async def scenario(made):
        await made.load_weights(Source(model=broken, folder=folder), 1)
        for _ in range(2):
            with pytest.raises(EngineDied, match="not finite"):
                await made.generate(SHORT, Sampling(max_tokens=4), 1)

    served(made, scenario)


@pytest.mark.slow
def test_a_server_with_other_settings_is_refused():
    url, folder = shared_server()
    made = vllm_server(
        context(folder, dtype="bfloat16", context_length=500),
        urls=(url,),
        api_key_env=KEY,
        transfer="nccl",
    )
    with pytest.raises(RecipeError) as refused:
        served(made, lambda made: made.generate(SHORT, Sampling(max_tokens=1), 1))
    for words in (
        r"model_config.dtype is torch.float32, not torch.bfloat16",
        "weight_transfer_config.backend is gloo, not nccl",
        "max_model_len is 400, below 500",
    ):
        assert words in str(refused.value)


@pytest.mark.slow
def test_two_servers_take_an_untied_model_and_one_that_dies_ends_the_engine(tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2", tied=False, **WIDE)
    made = vllm_server(context(folder, stop_ids=()), launch=LaunchSpec(devices="0,1"))
    pushed = model(1, tied=False)

    async def scenario(made):
        await made.load_weights(Source(model=pushed, folder=folder), 1)
        calls = [made.generate(LONG, Sampling(max_tokens=8, seed=s), 2) for s in range(2)]
        groups = await asyncio.gather(*calls)  # one to each server
        children = made._connection.children._children
        for child in children:  # stopped first: else the answer may be there before they die
            os.killpg(child.process.pid, signal.SIGSTOP)
        pending = asyncio.create_task(made.generate(SHORT, Sampling(max_tokens=390), 2))
        await asyncio.sleep(0.2)
        for child in children:
            os.killpg(child.process.pid, signal.SIGKILL)
        for call in (pending, made.load_weights(Source(model=pushed, folder=folder), 2)):
            with pytest.raises(EngineDied, match=r"ended\n  \$ .*api_server --model"):
                await call
        return groups, [child.process.wait() for child in children]

    groups, codes = served(made, scenario)
    assert codes == [-signal.SIGKILL] * 2
    assert max(gap(pushed, LONG, c) for group in groups for c in group) < 1e-4


@pytest.mark.slow
def test_a_launched_server_takes_its_key_alone_and_one_that_freezes_ends_the_engine(tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2", **WIDE)
    facts = context(folder, stop_ids=(), logs=tmp_path / "servers")
    made = vllm_server(facts, launch=LaunchSpec(), silence_timeout_s=30.0)

    async def scenario(made):
        await made.load_weights(Source(model=model(1), folder=folder), 1)
        children = made._connection.children
        (url,), (child,) = children.urls, children._children
        for path in ("/pause", "/collective_rpc", "/v1/completions", "/inference/v1/generate"):
            with pytest.raises(HTTPError, match="401"):
                urlopen(f"{url}{path}", data=b"{}")
        assert len((await made.generate(SHORT, Sampling(max_tokens=4), 1))[0].token_ids) == 4
        family = psutil.Process(child.process.pid).children(recursive=True)
        assert not [p for p in psutil.process_iter(["cmdline"])
                    if children.key in " ".join(p.info["cmdline"] or [])]  # fmt: skip
        core = [process for process in family if "EngineCore" in " ".join(process.cmdline())]
        assert core, [process.cmdline() for process in family]
        core[0].suspend()  # its API process answers on
        with pytest.raises(EngineDied, match=r"(?s)is frozen.*no sign of life.*api_server"):
            await made.generate(SHORT, Sampling(max_tokens=390), 2)
        return children.key, family

    key, family = served(made, scenario)
    psutil.wait_procs(family, timeout=60)
    assert not [process for process in family if running(process.pid)]
    assert key not in (tmp_path / "servers" / "server-0.log").read_text(errors="replace")


@pytest.mark.slow
def test_each_push_of_an_adapter_is_the_one_in_use(tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2", **WIDE)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=4, init_lora_weights=False, target_modules="all-linear"
    )
    adapted = []
    for version in (1, 2):
        torch.manual_seed(version)
        adapted.append(get_peft_model(model(), lora).eval())
        adapted[-1].save_pretrained(tmp_path / str(version))

    async def scenario(made):
        drawn = []
        for version, policy in enumerate(adapted, 1):
            source = Source(model=policy, folder=folder, adapter=tmp_path / str(version))
            await made.load_weights(source, version)
            drawn.append(await made.generate(LONG, Sampling(max_tokens=8), 2))
        return drawn

    drawn = served(vllm_server(context(folder, max_lora_rank=4), launch=LaunchSpec()), scenario)
    for policy, group in zip(adapted, drawn, strict=True):
        assert max(gap(policy, LONG, completion) for completion in group) < 1e-4
        assert gap(model(), LONG, group[0]) > 1e-2


@pytest.mark.slow
def test_a_server_that_ends_while_it_starts_is_quoted(tmp_path):
    (tmp_path / "model").mkdir()
    made = vllm_server(context(tmp_path / "model"), launch=LaunchSpec())
    with pytest.raises(
        RecipeError, match=r"did not start: .* ended\n  \$ .*\n(  first error: .*\n)?(  \| .*\n)+"
    ):
        served(made, lambda made: made.generate(SHORT, Sampling(max_tokens=1), 1))


def test_a_server_that_is_too_slow_is_given_up(tmp_path):
    made = vllm_server(context(tmp_path), launch=LaunchSpec(start_timeout_s=0.01))
    with pytest.raises(RecipeError, match=r"did not answer within 0\.01 s"):
        served(made, lambda made: made.generate(SHORT, Sampling(max_tokens=1), 1))


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = vllm_server(context(tmp_path), launch=LaunchSpec(port=port))
        with pytest.raises(RecipeError, match=f"port {port} of 127.0.0.1 is in use"):
            served(made, lambda made: made.generate(SHORT, Sampling(max_tokens=1), 1))


def test_an_address_where_nobody_answers_is_named(tmp_path):
    made = vllm_server(context(tmp_path), urls=("http://127.0.0.1:9",))
    with pytest.raises(RecipeError, match=r"no vLLM server in development mode .*127\.0\.0\.1:9"):
        served(made, lambda made: made.generate(SHORT, Sampling(max_tokens=1), 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "neither urls nor launch"),
        ({"urls": ["http://a:1"], "launch": {}}, "both given"),
        ({"urls": ["a:1"]}, "'a:1' is not an address"),
        ({"launch": {"devices": "4-7"}}, "devices"),
        ({"launch": {"devices": "4,5,6", "tensor_parallel_size": 2}}, "3 devices"),
    ],
)
def test_servers_are_either_named_or_launched(options, words):
    with pytest.raises(RecipeError, match=words):
        engine.bind({"name": "vllm_server", **options})


def test_devices_are_shared_out_over_servers():
    assert LaunchSpec(devices="4,5,6,7", tensor_parallel_size=2).shares == ("4,5", "6,7")
    assert LaunchSpec().shares == ("",)


def test_a_server_hears_nothing_of_the_trainers_ranks(tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OF_THE_USER", "1")
    told = environment("6,7", tmp_path)
    assert told.keys().isdisjoint({"RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"})
    assert (told["CUDA_VISIBLE_DEVICES"], told["OF_THE_USER"]) == ("6,7", "1")
    assert told["TMPDIR"] == told["VLLM_RPC_BASE_PATH"] == str(tmp_path)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL needs two GPUs")
def test_a_push_over_nccl_arrives_whole(tmp_path):
    folder = tiny_model(tmp_path / "model", "qwen2", **WIDE)
    made = vllm_server(context(folder), launch=LaunchSpec(devices="1"), transfer="nccl")

    async def scenario(made):
        drawn = []
        for version in (1, 2):
            pushed = Source(model=model(version).cuda(), folder=folder)
            await made.load_weights(pushed, version)
            drawn.append(await made.generate(LONG, Sampling(max_tokens=8, seed=4), 3))
        return drawn

    for version, group in enumerate(served(made, scenario), 1):
        assert max(gap(model(version), LONG, completion) for completion in group) < 1e-3
