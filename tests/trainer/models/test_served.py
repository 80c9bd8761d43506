"""A model gives the log-probs of its own forward pass, or is refused in words."""

import logging

import pytest
import torch

from recipes.errors import RecipeError
from rollout.attention import ATTENTION
from tests.support.models import next_logprobs, random_model
from trainer.models.logprob_model import LogprobModel, check_logprobs
from trainer.models.served import check_served, is_whole, use_packed_attention

LLAMA_4 = {
    "head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 4,
    "layer_types": ["chunked_attention", "full_attention"],
}  # fmt: skip
HYBRID = {
    "head_dim": 8, "linear_num_value_heads": 2, "linear_num_key_heads": 2,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "num_experts": 2, "num_experts_per_tok": 1,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
ROWS = (7, 2, 12)


def tried(arch, **changes):
    """The model after it was tried, on the attention that the trial chose."""
    model = random_model(arch, **changes)
    use_packed_attention(model)
    check_logprobs(LogprobModel(model))
    return model


@pytest.mark.parametrize(
    ("arch", "changes", "packed"),
    [
        ("gpt_oss", {}, True),  # attention sinks
        ("llama4_text", LLAMA_4, False),  # chunks, and layers under another name
        ("qwen3_next", HYBRID, False),  # linear attention
        ("mamba", {}, False),  # no attention
        ("phimoe", {"sliding_window": 3}, False),  # a window in the mask alone
        ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}, False),  # positions from a mask
    ],
)
def test_a_model_is_computed_as_its_own_forward_pass_does(arch, changes, packed, caplog):
    with caplog.at_level(logging.WARNING, "trainer.models.served"):
        model = tried(arch, **changes)
    assert (model.config._attn_implementation == ATTENTION) == packed
    assert ("does not take packed attention" in caplog.text) != packed
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 40, (n,), generator=generator) for n in ROWS]
    positions = torch.cat([torch.arange(n) for n in ROWS])
    with torch.no_grad():
        found = LogprobModel(model)(
            torch.cat(rows), positions, list(ROWS), positions.nonzero().squeeze(1), 1.0
        )[0]
        own = random_model(arch, **changes)
        expected = torch.cat([next_logprobs(own, row) for row in rows])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arch", "changes", "fact"),
    [
        ("bert", {}, "it is not causal"),
        ("modernbert-decoder", {}, "differ from its own forward pass"),
    ],
)
def test_what_would_be_computed_wrongly_is_refused(arch, changes, fact):
    with pytest.raises(RecipeError) as refused:
        tried(arch, **changes)
    found = str(refused.value)
    assert found.startswith("model.path: ") and f"(model type {arch})" in found
    assert fact in found and "docs/models.md" in found


def test_a_model_whose_code_fails_is_refused_with_its_words():
    model = random_model("qwen2")

    def broken(ids):
        raise IndexError("no such row")

    with pytest.raises(RecipeError, match=r"its own forward pass .* \(IndexError: no such row\)"):
        check_served(model, broken, lambda ids, positions, lengths: ids)
    with pytest.raises(RecipeError, match=r"the trainer's forward pass fails \(IndexError"):
        check_served(model, lambda ids: ids.float(), lambda ids, positions, lengths: broken(ids))


@pytest.mark.parametrize(
    ("dtype", "error", "refused"),
    [
        (torch.float32, 0.0009, False),
        (torch.float32, 0.0011, True),
        (torch.bfloat16, 0.09, False),
        (torch.bfloat16, 0.11, True),
        (torch.float32, float("nan"), True),
    ],
)
def test_rounding_is_allowed_and_more_is_not(dtype, error, refused):
    model = random_model("qwen2").to(dtype)

    def ours(ids, positions, lengths):
        return torch.full((len(ids),), 2.0 + error)

    def own(ids):
        return torch.full((len(ids),), 2.0)

    if refused:
        with pytest.raises(RecipeError, match="differ from its own forward pass"):
            check_served(model, own, ours)
    else:
        check_served(model, own, ours)


def test_a_model_in_parts_is_not_whole():
    model = random_model("qwen2")
    assert is_whole(model)
    next(model.parameters()).data = torch.empty(0)
    assert not is_whole(model)
