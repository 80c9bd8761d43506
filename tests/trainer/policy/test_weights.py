import asyncio

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rollout.types import Completion, Finish
from tests.support.builders import annotated, batch
from tests.support.policies import model_folder, policy, tensors, update
from trainer.policy.weights import ProbeFailed, Publisher
from trainer.recipe.monitoring import ProbeSpec
from trainer.recipe.sections import LoraSpec

LORA = LoraSpec(rank=2)
IDS = torch.tensor([[1, 5, 9, 30, 7]])


def trained(folder, **options):
    """A policy that has moved away from where it began."""
    ours = policy(folder, **options)
    for seed in range(3):
        update(ours, annotated(batch([[1, 0, 1]], [[6, 9, 4]], seed=seed)))
    return ours


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def own_logits(of):
    """Of the policy's module, adapters in place."""
    of._scorer.eval()
    return logits(of._scorer.causal_lm)


@pytest.mark.parametrize("arch", ["qwen3", "qwen2", "gemma2", "gpt_neox"])
def test_names_are_those_of_the_published_file(tmp_path, arch):
    folder = model_folder(tmp_path, arch, tied=False)
    ours = policy(folder)
    published = load_file(folder / "model.safetensors")
    found = tensors(ours)
    assert {name: t.shape for name, t in found.items()} == {
        name: t.shape for name, t in published.items()
    }
    assert all(torch.equal(found[name], published[name]) for name in published)


def test_tied_head_is_sent_under_its_own_name(tmp_path):
    sent = tensors(policy(model_folder(tmp_path, tied=True)))
    assert torch.equal(sent["lm_head.weight"], sent["model.embed_tokens.weight"])


def test_experts_are_cut_as_in_the_published_file(tmp_path):
    folder = model_folder(
        tmp_path,
        "qwen3_moe",
        tied=False,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        head_dim=8,
    )
    published = load_file(folder / "model.safetensors")
    assert any("experts.3.up_proj" in name for name in published)
    found = tensors(policy(folder))
    assert found.keys() == published.keys()
    assert all(torch.equal(found[name], published[name]) for name in published)


def test_whole_weights_are_lent_and_not_copied(tmp_path):
    ours = policy(model_folder(tmp_path))
    source = ours.weights()
    sent = dict(source.named_tensors())["model.norm.weight"]
    assert source.shared_module is ours._scorer.causal_lm
    assert sent.data_ptr() == ours._scorer.causal_lm.model.norm.weight.data_ptr()
    assert source.adapter_folder(3) is None


def test_merged_adapter_gives_the_adapted_models_logits(tmp_path):
    folder = model_folder(tmp_path)
    ours = trained(folder, lora=LORA)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = logits(plain)
    plain.load_state_dict(tensors(ours))
    torch.testing.assert_close(logits(plain), own_logits(ours), rtol=1e-5, atol=1e-5)
    assert (logits(plain) - base).abs().max() > 0.01


def test_merging_happens_on_a_copy(tmp_path):
    ours = trained(model_folder(tmp_path), lora=LORA, dtype="bfloat16")
    module = ours._scorer.causal_lm
    before = {name: p.clone() for name, p in module.named_parameters()}
    for _ in range(3):
        tensors(ours)
    assert all(torch.equal(before[name], p) for name, p in module.named_parameters())


def test_only_the_adapter_is_published_in_a_folder_of_its_version(tmp_path):
    folder = model_folder(tmp_path / "model")
    ours = trained(folder, lora=LORA, adapters=tmp_path / "adapters")
    written = ours.weights().adapter_folder(7)
    assert written == tmp_path / "adapters" / "policy-v000007"
    stored = load_file(written / "adapter_model.safetensors")
    assert len(stored) == 28  # 2 layers, 7 matrices, A and B
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, written)
    torch.testing.assert_close(logits(adapted), own_logits(ours), rtol=1e-5, atol=1e-5)


def test_old_adapter_folders_go(tmp_path):
    ours = policy(model_folder(tmp_path / "model"), lora=LORA, adapters=tmp_path / "adapters")
    for version in range(10):
        ours.weights().adapter_folder(version)
    kept = sorted(path.name for path in (tmp_path / "adapters").iterdir())
    assert (kept[0], kept[-1], len(kept)) == ("policy-v000002", "policy-v000009", 8)


@pytest.mark.parametrize("tied", [True, False])
def test_exported_folder_loads_as_any_other_model(tmp_path, tied):
    ours = trained(model_folder(tmp_path / "model", tied=tied))
    ours.export(tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    torch.testing.assert_close(logits(loaded), own_logits(ours))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").decode([5]) == "+"


def test_exported_adapter_is_an_adapter_unless_merged(tmp_path):
    folder = model_folder(tmp_path / "model")
    ours = trained(folder, lora=LORA)
    ours.export(tmp_path / "adapter")
    ours.export(tmp_path / "merged", merge=True)
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, tmp_path / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    torch.testing.assert_close(logits(adapted), own_logits(ours), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(merged), own_logits(ours), rtol=1e-5, atol=1e-5)


def test_exported_model_keeps_the_dtype_and_the_original_dropout(tmp_path):
    folder = model_folder(tmp_path / "model", "gpt_neox", attention_dropout=0.3)
    policy(folder, dtype="bfloat16").export(tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert loaded.dtype == torch.bfloat16
    assert loaded.config.attention_dropout == 0.3


class Echo:
    """An engine that says log-prob -1 for every token of the version it was given."""

    def __init__(self):
        self.version = -1

    async def generate(self, prompt_ids, sampling, n):
        ids = np.array([7, 8], dtype=np.int32)
        return [
            Completion(
                token_ids=ids,
                logprobs=np.full(2, -1.0, dtype=np.float32),
                policy_version=np.full(2, self.version, dtype=np.int32),
                finish=Finish.STOP,
            )
        ] * n

    async def load_weights(self, weights, version):
        self.version = version

    async def close(self):
        pass


class Trainer:
    """A policy whose log-prob of every token is `logprob`."""

    is_main = True

    def __init__(self, logprob):
        self.logprob = logprob

    def weights(self):
        return object()

    def annotate(self, batch, needs, temperature):
        return batch.replace(old_logprobs=torch.full((batch.num_tokens,), self.logprob))

    def broadcast(self, value):
        return value


def publish(logprob, **spec):
    engine = Echo()
    publisher = Publisher(Trainer(logprob), engine, [(5, 6), (5,)], ProbeSpec(**spec))
    return engine, asyncio.run(publisher(4, 1.0))


def test_the_engine_is_given_the_version_and_the_gap_is_a_metric():
    engine, metrics = publish(-1.01)
    assert engine.version == 4
    assert metrics["probe/gap_mean"].value == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize("logprob", [-1.2, -0.8, float("nan")])
def test_a_gap_above_the_bound_ends_the_run_with_its_cause(logprob):
    with pytest.raises(ProbeFailed, match=r"version 4.*does not sample from the trainer's weights"):
        publish(logprob)


def test_without_prompts_nothing_is_probed():
    assert publish(-9.0, prompts=0)[1] == {}


def test_a_gap_of_exactly_the_bound_is_allowed():
    metrics = publish(-1.5, max_gap=0.5)[1]  # the engine's log-prob is -1
    assert metrics["probe/gap_max"].value == 0.5
