"""A tiny model, fixed completions, and TRL's own trainer on them.

Nothing of TRL is replaced: `GRPOTrainer` and `RLOOTrainer` are built by their constructors, get
fixed completions through the public `rollout_func`, and are asked for their advantages, weights
(`_generate_and_score_completions`) and loss (`_compute_loss`) on the very tokens that we pack.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rewards.types import Verdict
from rollout.types import Group, Sample, Status
from tests.support.builders import problem
from trainer.advantages import advantage
from trainer.algorithm import Algorithm, StepAlgorithm
from trainer.batch import PolicyOutput, TokenBatch, pack
from trainer.corrections import correction
from trainer.losses import loss
from trainer.masks import mask
from trainer.models.tiny import make_tiny
from trainer.recipe.kinds import TinySpec
from trainer.recipe.sections import Setting, Slots
from trainer.reductions import reduction
from trainer.shaping import shaping
from trainer.terms import term

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout_func warns that it may change

PROMPTS = ["1+2=", "3+4="]
GROUP = 4
COMPLETIONS = [
    [12, 7, 9, 3],
    [5, 6],
    [8],
    [9, 10, 11, 12, 13, 5],
    [6, 6, 6],
    [7, 5, 8, 9, 10],
    [11],
    [5, 9],
]
LENGTHS = [len(tokens) for tokens in COMPLETIONS]
REWARDS = [1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.3]
LONGEST = 6
TINY = TinySpec(
    hidden=32, layers=1, heads=2, kv_heads=1, intermediate=32, context_length=32,
    alphabet="0123456789+=",
)  # fmt: skip


def sampled_logprobs() -> list[list[float]]:
    """What the engine claims: plausible, and not what the model says."""
    rng = np.random.default_rng(3)
    return [(-2.5 + 0.4 * rng.normal(size=n)).tolist() for n in LENGTHS]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What TRL computed, and the policy at three moments."""

    trainer: Any
    scored: dict[str, Any]  # what `_generate_and_score_completions` returned
    loss: float
    gradient: dict[str, Tensor]
    batch: TokenBatch  # the same samples, packed; old and reference log-probs filled
    forward: Callable[[], PolicyOutput]  # the policy now, gradient attached


def reference(
    folder: Path, kind: str = "grpo", rewards: Sequence[Sequence[float]] = (), **settings: Any
) -> Reference:
    """Let TRL score the completions with one policy and compute the loss of a later one.

    kind: "grpo", "gmpo" or "rloo"
    rewards: one list for each reward function, REWARDS alone when not given
    """
    make_tiny(TINY, folder / "model", seed=0)
    named = [list(values) for values in rewards] or [REWARDS]
    trainer = _build(folder, kind, named, settings)
    trainer.current_gradient_accumulation_steps = 1
    rows = [{"prompt": prompt} for prompt in PROMPTS for _ in range(GROUP)]
    first = _logprobs(trainer.model)
    _perturb(trainer.model, seed=1)
    old = _logprobs(trainer.model)
    if kind != "rloo":  # weigh the engine's log-probs as it would with an engine of its own
        trainer.use_vllm = trainer.vllm_importance_sampling_correction
        trainer._last_loaded_step = trainer.state.global_step
    scored = trainer._generate_and_score_completions(rows)
    _perturb(trainer.model, seed=2)
    trainer.model.zero_grad()
    value = trainer._compute_loss(trainer.model, scored)
    value.backward()
    gradient = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
    batch = pack(_groups(trainer.processing_class, named))
    return Reference(
        trainer=trainer,
        scored=scored,
        loss=float(value.detach()),
        gradient=gradient,
        batch=batch.replace(old_logprobs=old.detach(), ref_logprobs=first.detach()),
        forward=lambda: _output(trainer.model),
    )


def _build(folder: Path, kind: str, rewards: list[list[float]], settings: dict[str, Any]) -> Any:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
    from trl.experimental.gmpo import GMPOConfig, GMPOTrainer

    config, trainer = {
        "grpo": (GRPOConfig, GRPOTrainer),
        "gmpo": (GMPOConfig, GMPOTrainer),
        "rloo": (RLOOConfig, RLOOTrainer),
    }[kind]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {
            "prompt_ids": [tokenizer(p)["input_ids"] for p in prompts],
            "completion_ids": COMPLETIONS,
            "logprobs": sampled_logprobs(),
        }

    arguments = config(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=len(REWARDS),
        num_generations=GROUP,
        max_completion_length=LONGEST,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        **settings,
    )
    extra = {} if kind == "rloo" else {"rollout_func": rollout}

    def scored(values: list[float]) -> Callable[..., list[float]]:
        return lambda prompts, **_: values

    return trainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model"),
        reward_funcs=[scored(values) for values in rewards],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": PROMPTS[0]}] * len(REWARDS)),
        processing_class=tokenizer,
        **extra,
    )


def _perturb(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


def _groups(tokenizer: Any, rewards: Sequence[Sequence[float]] = (REWARDS,)) -> list[Group]:
    """Our records of the same samples; the k-th reward is also the component called `r{k}`."""
    groups = []
    for g, text in enumerate(PROMPTS):
        members = []
        for i in range(GROUP):
            k = g * GROUP + i
            prompt = tokenizer(text)["input_ids"]
            length = len(prompt) + LENGTHS[k]
            members.append(
                Sample(
                    token_ids=np.array([*prompt, *COMPLETIONS[k]], dtype=np.int32),
                    action_mask=np.arange(length) >= len(prompt),
                    behavior_logprobs=np.array(
                        [0.0] * len(prompt) + sampled_logprobs()[k], dtype=np.float32
                    ),
                    policy_version=np.zeros(length, dtype=np.int32),
                    turn_ids=np.zeros(length, dtype=np.int32),
                    role="policy",
                    verdict=Verdict.scored(
                        rewards[0][k],
                        correct=rewards[0][k] > 0,
                        components={f"r{j}": values[k] for j, values in enumerate(rewards)},
                    ),
                    answer="",
                    status=Status.COMPLETED,
                    index=i,
                )
            )
        groups.append(Group(problem=problem(), samples=tuple(members), group_id=g))
    return groups


def _logprobs(model: Any) -> Tensor:
    return _output(model).logprobs


def _output(model: Any) -> PolicyOutput:
    """One sample at a time, unpadded; position t speaks of token t."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.config._name_or_path)
    logprobs, entropy = [], []
    for group in _groups(tokenizer):
        for sample in group.samples:
            tokens = torch.from_numpy(sample.token_ids).long()
            table = model(input_ids=tokens[None]).logits[0, :-1].log_softmax(-1)
            zero = torch.zeros(1)
            logprobs.append(torch.cat([zero, table.gather(1, tokens[1:, None])[:, 0]]))
            entropy.append(torch.cat([zero, -(table.exp() * table).sum(-1)]))
    return PolicyOutput(logprobs=torch.cat(logprobs), entropy=torch.cat(entropy))


def slots(**entries: Any) -> StepAlgorithm:
    """Our algorithm: GRPO with TRL's epsilon, with some slots filled otherwise."""
    chosen: dict[str, Any] = {
        "advantage": {"name": "grpo", "eps": 1e-4},
        "loss": "ppo_clip",
        "reduction": "sequence_mean",
        "correction": "none",
        "terms": [],
        "masks": [],
        "shaping": [],
        **entries,
    }
    bound = Slots(
        shaping=[shaping.bind(entry) for entry in chosen["shaping"]],
        advantage=advantage.bind(chosen["advantage"]),
        masks=[mask.bind(entry) for entry in chosen["masks"]],
        correction=correction.bind(chosen["correction"]),
        selections=[],
        reduction=reduction.bind(chosen["reduction"]),
        loss=loss.bind(chosen["loss"]),
        terms=[term.bind(entry) for entry in chosen["terms"]],
        lr=Setting(path="optimizer.lr", value=1.0),
        temperature=Setting(path="sampling.temperature", value=1.0),
        max_tokens=Setting(path="sampling.max_tokens", value=8),
    )
    return Algorithm(bound, updates_per_step=2).at(0)


def staged(algo: StepAlgorithm, batch: TokenBatch) -> TokenBatch:
    """The batch after every stage of the step, with its token weights."""
    for stage in (algo.shape, algo.advantage, algo.mask, algo.correct, algo.reduce):
        batch = stage(batch)
    return batch


def assert_same_update(algo: StepAlgorithm, theirs: Reference) -> None:
    """The same loss, and the same gradient by every parameter of the model."""
    model = theirs.trainer.model
    model.zero_grad()
    total = algo.objective(theirs.forward(), staged(algo, theirs.batch)).total
    total.backward()
    assert abs(float(total.detach()) - theirs.loss) < 1e-5
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, theirs.gradient[name], rtol=1e-3, atol=1e-5, msg=lambda m, n=name: n + m
        )


def per_sample(theirs: Reference, values: Tensor) -> Tensor:
    """One number for each sample out of packed token values that are the same on all its tokens."""
    batch = theirs.batch
    return torch.stack(
        [values[(batch.seq_ids == s) & batch.action_mask][0] for s in range(batch.num_sequences)]
    )


def padded(theirs: Reference, values: Tensor) -> Tensor:
    """Packed token values as TRL lays them out: [samples, longest completion], zeros behind."""
    batch = theirs.batch
    table = torch.zeros(batch.num_sequences, LONGEST)
    for s in range(batch.num_sequences):
        table[s, : LENGTHS[s]] = values[(batch.seq_ids == s) & batch.action_mask]
    return table
