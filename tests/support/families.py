"""A tiny model of every family of causal language models that transformers has.

    tiny_of("qwen3_next")            a float32 module in evaluation mode, under its own attention
    tiny_of("qwen3_next", packed)    the same weights under another attention implementation

The sizes below are set wherever a configuration, or one inside it, has a field of that name.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SIZES: dict[str, Any] = {
    **dict.fromkeys(["vocab_size", "vocab_size_per_layer_input"], 40),
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "dim", "word_embed_proj_dim"], 32),
    **dict.fromkeys(["embedding_size", "lru_width", "embed_dim", "input_embedding_size"], 32),
    **dict.fromkeys(["intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size"], 48),
    **dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim", "intermediate_size_mlp"], 48),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth"], 2),
    **dict.fromkeys(["encoder_layers", "decoder_layers", "num_decoder_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads"], 4),
    **dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], 4),
    **dict.fromkeys(["num_key_value_heads", "num_kv_heads", "linear_num_key_heads"], 2),
    **dict.fromkeys(["head_dim", "global_head_dim", "d_kv", "v_head_dim", "state_size"], 8),
    **dict.fromkeys(["linear_key_head_dim", "linear_value_head_dim", "dim_head"], 8),
    **dict.fromkeys(["q_lora_rank", "kv_lora_rank", "query_pre_attn_scalar"], 8),
    **dict.fromkeys(["hidden_size_per_layer_input", "ssm_state_size", "mamba_d_state"], 8),
    **dict.fromkeys(["qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim", "time_step_rank"], 4),
    **dict.fromkeys(["linear_num_value_heads", "mamba_n_heads", "mamba_num_heads"], 4),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "laurel_rank"], 4),
    **dict.fromkeys(["moe_intermediate_size", "shared_expert_intermediate_size"], 16),
    **dict.fromkeys(["mamba_d_head", "mamba_head_dim", "moe_shared_expert_intermediate_size"], 16),
    **dict.fromkeys(["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"], 64),
    **dict.fromkeys(["num_experts_per_tok", "moe_topk"], 2),
    **dict.fromkeys(["n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"], 1),
    **dict.fromkeys(["sliding_window", "attention_chunk_size", "attention_window_size"], 5),
    **{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3},
}
"""By the name of a field; windows are shorter than the rows of the tests."""

OWN: dict[str, dict[str, Any]] = {
    "axk1": {"head_dim": 4},
    "deepseek_v3": {"head_dim": 4},
    "youtu": {"head_dim": 4},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 5},
    "mamba2": {"n_groups": 1, "head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
}
"""What a family needs besides."""


def tiny_of(model_type: str, attention: str = "eager") -> PreTrainedModel:
    """A module with random weights that depend on the family alone."""
    full = AutoConfig.for_model(model_type).to_dict()
    changes = {**_small(full), **OWN.get(model_type, {})}
    config = AutoConfig.for_model(model_type, **changes)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    count = sum(parameter.numel() for parameter in empty.parameters())
    assert count < 1e7, f"{model_type} has {count} parameters: name its sizes in SIZES"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, dtype=torch.float32
        )
    return model.eval()


def _small(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to change, of a configuration and of those inside it."""
    changes = {name: SIZES[name] for name in fields if name in SIZES}
    for name, value in fields.items():
        if isinstance(value, dict) and "model_type" in value:
            changes[name] = {**value, **_small(value)}
    if "kv_lora_rank" in fields and "num_key_value_heads" in changes:
        changes["num_key_value_heads"] = 4  # latent attention has one key for each query head
    if kinds := fields.get("layer_types"):
        changes["layer_types"] = (list(dict.fromkeys(kinds)) * 2)[: max(2, len(set(kinds)))]
        changes["num_hidden_layers"] = len(changes["layer_types"])
    return changes
