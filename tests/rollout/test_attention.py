"""Packed attention against each sequence alone under transformers' own eager attention."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from recipes.errors import RecipeError
from rollout.attention import (
    ATTENTION,
    CHECKED,
    Packing,
    Rule,
    causal,
    mask_table,
    packing_of,
    supports,
)
from tests.support.models import ARCHITECTURES, VOCABULARY, config, random_model

LENGTHS = (7, 1, 12, 4, 4)


def sequences(lengths=LENGTHS, seed=0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCABULARY, (n,), generator=generator) for n in lengths]


def packed_logprobs(model, rows: list[Tensor]) -> list[Tensor]:
    """All next-token log-probs [length, V] of each sequence, from one packed call."""
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    packing = packing_of([len(row) for row in rows])
    logits = model(
        input_ids=torch.cat(rows)[None], position_ids=positions[None], use_cache=False,
        packing=packing,
    ).logits  # fmt: skip
    return list(logits[0].log_softmax(-1).split(list(packing.lengths)))


def padded_logprobs(model, rows: list[Tensor]) -> list[Tensor]:
    """The same from one right-padded batch."""
    longest = max(len(row) for row in rows)
    ids = torch.stack([torch.nn.functional.pad(row, (0, longest - len(row))) for row in rows])
    mask = torch.stack([(torch.arange(longest) < len(row)).long() for row in rows])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.log_softmax(-1)
    return [logits[i, : len(row)] for i, row in enumerate(rows)]


def gap(left: list[Tensor], right: list[Tensor]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_packed_logprobs_equal_padded_ones(arch):
    rows = sequences()
    packed = packed_logprobs(random_model(arch, attention=ATTENTION), rows)
    assert gap(packed, padded_logprobs(random_model(arch), rows)) < 1e-5


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_packed_gradients_equal_padded_ones(arch):
    rows = sequences()
    ours, theirs = random_model(arch, attention=ATTENTION), random_model(arch)
    for model, logprobs in ((ours, packed_logprobs), (theirs, padded_logprobs)):
        sum((row**2).mean() for row in logprobs(model, rows)).backward()
    for (name, left), right in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(left.grad, right.grad, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("arch", ["gemma2", "gemma3_text", "mistral"])
def test_the_window_matters_at_these_lengths(arch):
    rows = sequences()
    narrow, wide = (random_model(arch, attention=ATTENTION, sliding_window=w) for w in (3, 100))
    assert gap(packed_logprobs(narrow, rows), packed_logprobs(wide, rows)) > 1e-3


def test_the_soft_cap_matters_at_these_scores():
    rows = sequences()
    capped, free = (
        random_model("gemma2", attention=ATTENTION, attn_logit_softcapping=cap)
        for cap in (2.0, None)
    )
    assert gap(packed_logprobs(capped, rows), packed_logprobs(free, rows)) > 1e-3


def test_permuting_sequences_does_not_change_results():
    model, rows = random_model("qwen3", attention=ATTENTION), sequences((100, 5, 5, 30, 70))
    order = [3, 1, 4, 0, 2]
    permuted = packed_logprobs(model, [rows[i] for i in order])
    straight = packed_logprobs(model, rows)
    assert gap(permuted, [straight[i] for i in order]) < 1e-5


def test_a_sequence_sees_only_itself():
    model = random_model("llama", attention=ATTENTION)
    rows, others = sequences(seed=0), sequences(seed=1)
    changed = packed_logprobs(model, [*others[:2], rows[2], *others[3:]])
    assert gap([changed[2]], [packed_logprobs(model, rows)[2]]) < 1e-6
    assert gap([changed[0]], [packed_logprobs(model, rows)[0]]) > 1e-3


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for checkpointing in (False, True):
        model = random_model("qwen2", attention=ATTENTION).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        sum(row.square().mean() for row in packed_logprobs(model, sequences())).backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_plain_call_treats_each_row_as_one_sequence():
    ids = torch.stack(sequences((6, 6)))
    ours = random_model("qwen2", attention=ATTENTION)(input_ids=ids, use_cache=False).logits
    theirs = random_model("qwen2")(input_ids=ids, use_cache=False).logits
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_packing_of_one_and_three_tokens():
    packing = packing_of([1, 3])
    assert packing.blocks == ((2, 3),)
    assert packing.padded_from.tolist() == [1, 2, 3, 0, 0, 0]
    assert packing.token_at.tolist() == [3, 0, 1, 2]
    assert packing.cu_seqlens.tolist() == [0, 1, 4]
    assert packing.max_length == 3


@pytest.mark.parametrize(
    ("lengths", "blocks"),
    [
        ([5, 60, 64, 1], ((4, 64),)),  # short ones share a block
        ([65, 33, 32], ((2, 65), (1, 32))),  # 33 * 2 >= 65, 32 * 2 < 65
        ([1000, 10, 20, 900], ((2, 1000), (2, 20))),
    ],
)
def test_padding_never_more_than_doubles_a_long_sequence(lengths, blocks):
    assert packing_of(lengths).blocks == blocks


def test_unpacking_and_packing_again_gives_the_tokens_back():
    packing = packing_of([65, 3, 90, 1, 40])
    tokens = torch.arange(199)
    assert torch.equal(tokens[packing.padded_from][packing.token_at], tokens)


def test_attention_is_equivariant_and_grouped_heads_share_keys():
    query = torch.randn(1, 4, 3, 8)
    key, value = torch.randn(2, 1, 2, 3, 8)
    rule = Rule(scale=None, window=None, softcap=None, dropout=0.0)
    grouped = causal(query, key, value, rule)
    repeated = causal(query, *(x.repeat_interleave(2, 1) for x in (key, value)), rule)
    assert torch.allclose(grouped, repeated, atol=1e-6)
    assert torch.allclose(grouped[:, :, 0], value.repeat_interleave(2, 1)[:, :, 0], atol=1e-6)


def test_models_outside_the_attention_interface_are_not_supported():
    assert supports(random_model("qwen3"))
    assert not supports(random_model("mamba"))
    bloom = config("bloom", n_head=4, n_layer=1)
    assert not supports(AutoModelForCausalLM.from_config(bloom))


def test_attention_masks_are_refused():
    model = random_model("qwen2", attention=ATTENTION)
    ids = torch.ones(1, 3, dtype=torch.long)
    with pytest.raises(RecipeError, match=r"model\.path: the model gives attention a mask"):
        model(input_ids=ids, attention_mask=ids)


def test_sinks_take_their_share_of_the_weight():
    # One head over one token, score 0, and a sink whose score is log 3: the token keeps 1/4.
    query, key, value = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    sinks = torch.tensor([3.0]).log().requires_grad_()
    rule = Rule(scale=None, window=None, softcap=None, dropout=0.0, sinks=sinks)
    out = causal(query, key, value, rule)
    torch.testing.assert_close(out, torch.full_like(out, 0.25))
    out[..., 0].sum().backward()  # d/ds of 1 / (1 + e^s) at log 3 is -3/16
    torch.testing.assert_close(sinks.grad, torch.tensor([-3 / 16]))


@pytest.mark.parametrize(
    ("arch", "changes", "words"),
    [
        ("llama", {}, ""),
        ("mistral", {}, ""),
        ("mistral", {"sliding_window": 7}, ""),
        ("gemma2", {}, ""),
        ("gpt_oss", {}, ""),
        (
            "phimoe",
            {"sliding_window": 3},
            "hides other tokens from a layer",
        ),  # a window in the mask alone
        ("opt", {"ffn_dim": 32}, "gives attention a mask of tokens"),
    ],
)
def test_masks_are_compared_with_what_the_layers_ask_for(arch, changes, words):
    model, ids = random_model(arch, attention=CHECKED, **changes), sequences((4,))[0][None]
    if not words:
        model(input_ids=ids, use_cache=False)
        return
    with pytest.raises(RecipeError, match=words):
        model(input_ids=ids, use_cache=False)


def test_the_borders_of_a_window_and_a_chunk_are_in_the_table():
    def window(batch, head, query, key):
        return (key <= query) & (key > query - 300)

    def chunk(batch, head, query, key):
        return (key <= query) & (key // 300 == query // 300)

    places, *visible = mask_table(mask_function=window, local_size=300)[0, 0]
    distance = places[:, None] - places
    expected = (distance >= 0) & (distance < 300)
    assert torch.equal(torch.stack(visible).bool(), expected)
    off_by_one = (distance >= 0) & (distance < 301)
    assert not torch.equal(off_by_one, expected)
    _, *chunked = mask_table(mask_function=chunk, local_size=300)[0, 0]
    assert not torch.equal(torch.stack(chunked).bool(), expected)


def test_a_packing_without_tokens_is_our_own_defect():
    with pytest.raises(AssertionError):
        packing_of([3, 0])
    assert isinstance(packing_of(torch.tensor([3, 1])), Packing)
