"""The policy: the model that learns, over however many ranks. The loop knows of none.

    annotate   what the model says before the update, each rank a share, all ranks get the whole
    split      this rank's microbatches of a minibatch; the same number on every rank
    forward    log-probs and entropy with gradient
    backward   add a microbatch's part of the objective to the gradient
    step       sum over ranks, clip, update; or skip, on all ranks, what is not finite

`logprobs[t]` speaks of token t; the shift by one is in `trainer.models.logprob_model` only.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from recipes.errors import RecipeError
from trainer.batch import (
    COMPUTED_BY,
    PolicyOutput,
    TokenBatch,
    scored_tokens,
    share_out,
    trained_sequences,
)
from trainer.metrics import AnyMetric, Mean, Metrics, Sum
from trainer.models.folder import model_folder, path_of
from trainer.models.load import add_adapter, load_model, same_vocabulary
from trainer.models.logprob_model import LogprobModel, check_logprobs
from trainer.models.value_model import ValueHead
from trainer.parallel.deepspeed import DeepSpeedModule, PackedModel, freeze, loaded_in_parts
from trainer.parallel.optimizer import Optimizers
from trainer.parallel.ranks import ParallelModule, Processes, Update
from trainer.parallel.replicated import ReplicatedModule
from trainer.parallel.rng_state import load_random_state, save_random_state
from trainer.parallel.state_files import Seals
from trainer.policy.critic import Critic, split_values
from trainer.policy.weights import PolicyWeights, WeightExporter
from trainer.recipe.sections import CriticSpec, ModelSpec, OptimizerSpec, ShardingSpec

T = TypeVar("T")
_REFERENCE = "reference"  # the policy's own model before training, as a source of fields


class Policy:
    """See the module. Log-probs and entropies are at the sampling temperature that is passed in."""

    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        sharding: ShardingSpec,
        *,
        critic: CriticSpec | None = None,
        fixed: Mapping[str, ModelSpec] | None = None,
        needs: frozenset[str] = frozenset(),
        seed: int = 0,
        max_tokens: int = 16384,
        adapters: Path | None = None,
    ) -> None:
        """Join the ranks and load the model.

        critic: what gives `values`
        fixed: models that are never trained, by the source of the batch's fields that they compute
            (`teacher`); same vocabulary
        needs: batch fields that `annotate` will be asked for; ref_logprobs keeps a second model
            unless an adapter can be switched off
        seed: of the adapter's first weights and of its dropout
        max_tokens: of a forward pass without gradient, per rank
        adapters: folder for the adapter's versions, seen by every engine; temporary when not given
        """
        self.folder = model_folder(model)
        self._model, self._sharding = model, sharding
        self._max_tokens = max_tokens
        self._processes = Processes.start(sharding)
        self._values = critic
        torch.manual_seed(seed)  # the same on every rank: the adapter's first weights
        with loaded_in_parts(sharding, model.torch_dtype, self._processes):
            causal_lm = load_model(model)
        self._adapted = add_adapter(causal_lm, model.lora) if model.lora else None
        shared_head = None
        if critic is not None and critic.backbone == "shared":
            hidden = causal_lm.config.get_text_config().hidden_size
            shared_head = ValueHead(hidden, critic.outputs, model.torch_dtype)
        self._scorer = LogprobModel(causal_lm, shared_head)
        self._module = self._shard(optimizer)
        self._exporter = WeightExporter(
            causal_lm=causal_lm,
            adapted=self._adapted,
            sharded=self._module,
            processes=self._processes,
            model=model,
            folder=self.folder,
            adapters=adapters,
        )
        self._fixed: dict[str, PackedModel] = {}
        if _REFERENCE in {COMPUTED_BY[need] for need in needs} and self._adapted is None:
            self._fixed[_REFERENCE] = self._load_fixed(model)
        for source, spec in (fixed or {}).items():
            with path_of(f"{source}.path"):
                same_vocabulary(model, spec)
                self._fixed[source] = self._load_fixed(spec)
        self._critic: Critic | None = None
        if critic is not None and critic.backbone == "separate":
            self._critic = Critic(critic, model, sharding, self._processes)
        torch.manual_seed(seed + 1 + self._processes.rank)

    @property
    def is_main(self) -> bool:
        return self._processes.is_main

    @property
    def world_size(self) -> int:
        return self._processes.world_size

    def barrier(self) -> None:
        self._processes.barrier()

    def leave(self) -> None:
        """Part from the other ranks, when all of them are done."""
        self._processes.leave()

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        return self._processes.broadcast(value)

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of the ranks, on every rank."""
        return self._processes.gather(value)

    # -- loading ---------------------------------------------------------------------------------

    def _shard(self, optimizer: OptimizerSpec) -> ParallelModule:
        if self._sharding.zero < 3:
            check_logprobs(self._scorer)
        head = self._values.optimizer if self._values else None
        optimizers = Optimizers(layers=optimizer, value_head=head)
        if self._sharding.zero == 0:
            return ReplicatedModule(self._scorer, optimizers, self._processes)
        dtype, processes = self._model.torch_dtype, self._processes
        return DeepSpeedModule(self._scorer, optimizers, self._sharding, dtype, processes)

    def _load_fixed(self, model: ModelSpec) -> PackedModel:
        """A language model that is never trained."""
        sharding, processes = self._sharding, self._processes
        with loaded_in_parts(sharding, model.torch_dtype, processes):
            causal_lm = load_model(model)
        scorer = LogprobModel(causal_lm)
        if model.path == self._model.path:
            causal_lm.set_attn_implementation(self._scorer.causal_lm.config._attn_implementation)
        elif sharding.zero < 3:
            check_logprobs(scorer)
        return freeze(scorer, model.torch_dtype, sharding, processes)

    # -- saying what the model thinks ------------------------------------------------------------

    @torch.no_grad()
    def annotate(self, batch: TokenBatch, needs: frozenset[str], temperature: float) -> TokenBatch:
        """The batch with those of `needs` that a model computes.

        Every rank passes a share through the model and every rank gets all of it.
        """
        wanted = {name for name in needs if COMPUTED_BY[name] != "rollout"}
        if not wanted:
            return batch
        fields = {name: torch.zeros(batch.num_tokens) for name in sorted(wanted)}
        starts = (batch.lengths.cumsum(0) - batch.lengths).tolist()
        lengths = batch.lengths.tolist()
        self._train(False)
        for members in self._share(lengths, self._max_tokens):
            micro = batch.select(members).to(self._processes.device)
            spans = [torch.arange(starts[i], starts[i] + lengths[i]) for i in members]
            tokens = torch.cat([torch.arange(0), *spans])
            for name, values in self._annotations(micro, wanted, temperature).items():
                fields[name][tokens] = values.float().cpu()
        for name in fields:  # each token has one rank's value and the others' zero
            self._processes.sum(fields[name])
        return batch.replace(**fields)

    def _annotations(
        self, micro: TokenBatch, wanted: set[str], temperature: float
    ) -> dict[str, Tensor]:
        sources = {COMPUTED_BY[name] for name in wanted}
        found: dict[str, Tensor] = {}
        shared_critic = self._scorer.value_head is not None
        if "policy" in sources or ("critic" in sources and shared_critic):
            out, outputs = forward_microbatch(self._module, micro, temperature)
            found = {"old_logprobs": out.logprobs, "current_logprobs": out.logprobs}
            found["entropy"] = out.entropy
            found |= {} if outputs is None else self._states(micro, outputs)
        if "critic" in sources and not shared_critic:
            assert self._critic is not None, "values without a critic"
            found |= self._states(micro, self._critic(micro))
        for source in sorted(sources - {"policy", "critic"}):  # in one order on every rank
            if source == _REFERENCE and self._adapted is not None:
                with self._adapted.disable_adapter():
                    out, _ = forward_microbatch(self._module, micro, temperature)
            else:
                assert source in self._fixed, f"the {source} was not loaded: no slot needed it"
                out, _ = forward_microbatch(self._fixed[source], micro, temperature)
            found |= {name: out.logprobs for name, by in COMPUTED_BY.items() if by == source}
        return {name: found[name] for name in wanted}

    def _states(self, micro: TokenBatch, outputs: Tensor) -> dict[str, Tensor]:
        assert self._values is not None, "outputs of a critic that were not requested"
        before, after, _ = split_values(micro, outputs, self._values)
        return {"values": before, "next_values": after}

    def _share(self, lengths: list[int], max_tokens: int) -> list[list[int]]:
        """This rank's microbatches, as sequence numbers."""
        return share_out(lengths, max_tokens, self._processes.world_size)[self._processes.rank]

    def split(self, minibatch: TokenBatch, max_tokens: int) -> list[TokenBatch]:
        """This rank's microbatches, on its device; as many on every rank, some may be empty.

        Sequences whose every token has weight zero are left out: they cannot change the gradient.
        """
        chosen = trained_sequences(minibatch)
        lengths = minibatch.lengths[chosen].tolist()
        return [
            minibatch.select([chosen[i] for i in members]).to(self._processes.device)
            for members in self._share(lengths, max_tokens)
        ]

    def forward(
        self, micro: TokenBatch, temperature: float, critic_only: bool = False
    ) -> PolicyOutput:
        """Log-probs, entropy and a learning critic's values [T], with gradient.

        critic_only: no gradient goes to the policy's layers, not even that of the values
        """
        self._train(True)
        with torch.set_grad_enabled(not (critic_only and self._critic is not None)):
            out, outputs = forward_microbatch(
                self._module, micro, temperature, values_reach_layers=not critic_only
            )
        if self._critic is not None and self._critic.learns:
            outputs = self._critic(micro)
        if outputs is None:
            return out
        assert self._values is not None, "outputs of a critic that were not requested"
        values, _, logits = split_values(micro, outputs, self._values)
        return replace(out, values=values, value_logits=logits)

    def _train(self, learning: bool) -> None:
        self._scorer.train(learning)
        if self._critic is not None and self._critic.learns:
            self._critic.train(learning)

    # -- learning --------------------------------------------------------------------------------

    def backward(self, total: Tensor, critic: Tensor | None = None) -> None:
        """Add a microbatch's part of the objective to the gradient.

        total: without a gradient where only a separate critic is trained
        critic: the part that is the critic's; it reaches the policy's layers where they are shared
        """
        if self._critic is not None and critic is not None:
            self._critic.backward(critic)
            critic = None
        if critic is None and not total.requires_grad:
            assert self._critic is not None, "a policy's part without a gradient"
            return
        self._module.backward(total if critic is None else total + critic)

    def zero_grad(self) -> None:
        """Drop the gradient so far, the critic's too; of a model in fp32 on whole replicas."""
        self._scorer.zero_grad()
        if self._critic is not None:
            self._critic.zero_grad()

    def step(self, lr: float | None, critic_lr: float = 0.0) -> Metrics:
        """Update all ranks with the gradient's sum, or none where a loss or it is not finite.

        lr: None where only the critic is updated
        Returns optim/lr, optim/skipped (updates left out) and optim/grad_norm (of the whole
        gradient, before clipping), and with a critic of its own its critic/lr and
        critic/grad_norm; on rank 0 only, so that a merge over ranks counts once.
        """
        metrics = Metrics({"optim/skipped": Sum(0.0)})
        if lr is not None or self._critic is None:
            update = self._module.step(lr, critic_lr)
            metrics += _updated("optim", lr or 0.0, update)
        if self._critic is not None and self._critic.learns:
            metrics += _updated("critic", critic_lr, self._critic.step(critic_lr))
        return metrics if self.is_main else Metrics()

    def merge(self, metrics: Mapping[str, AnyMetric]) -> Metrics:
        """The metrics of all ranks as one, the same on every rank."""
        merged = Metrics()
        for part in self._processes.gather(dict(metrics)):
            merged += part
        return merged

    # -- giving the weights away -----------------------------------------------------------------

    def weights(self) -> PolicyWeights:
        """The weights for the engine, see `WeightExporter`; every rank calls."""
        self._scorer.eval()
        return self._exporter.weights()

    def export(self, folder: Path, *, merge: bool = False) -> None:
        """Write a Hugging Face folder with tokenizer; of an adapter, it alone unless `merge`."""
        self._exporter.export(folder, merge=merge)

    def export_critic(self, folder: Path) -> None:
        """Write the critic as a Hugging Face folder of a token classifier, adapters merged."""
        if self._critic is None or not self._critic.learns:
            raise RecipeError.of(
                "this run trained no separate critic",
                path="critic",
                fix="export the critic of a run with critic: {backbone: separate, optimizer: ...}",
            )
        self._critic.export(folder)

    # -- state -----------------------------------------------------------------------------------

    def save(self, folder: Path) -> Seals:
        """Weights, optimizer and random state of every rank; all ranks write into `folder`.

        Returns the seals of the state files that this rank wrote.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.is_main:
            (folder / "layout.json").write_text(json.dumps(self._layout))
        seals = {**self._module.save(folder)}
        if self._critic is not None:
            seals |= self._critic.save(folder)
        return seals | save_random_state(folder, self._processes.rank)

    def load(self, folder: Path) -> None:
        """Go on exactly where `save` was called. Raises RecipeError for another layout of ranks."""
        written = json.loads((folder / "layout.json").read_text())
        if written != self._layout:
            raise RecipeError.of(
                f"{folder} was written with {written}, this run has {self._layout}",
                path="sharding",
                fix="launch with the same sharding.zero and number of processes; `temper export`, "
                "launched so, makes a model that any run can start from",
            )
        self._module.load(folder)
        if self._critic is not None:
            self._critic.load(folder)
        load_random_state(folder, self._processes.rank)

    @property
    def _layout(self) -> dict[str, int]:
        """What must be the same to read a checkpoint; whole replicas fit any number of ranks."""
        zero = self._sharding.zero
        return {"zero": zero, "processes": self._processes.world_size} if zero else {"zero": 0}


def forward_microbatch(
    score: PackedModel, micro: TokenBatch, temperature: float, *, values_reach_layers: bool = True
) -> tuple[PolicyOutput, Tensor | None]:
    """What a scorer says of the microbatch, and the outputs [T, bins or 1] of its value head.

    A microbatch without tokens is asked about too: the other ranks wait for this one in the model.
    """
    device = micro.token_ids.device
    if micro.num_tokens == 0:
        two, last = torch.arange(2, device=device), torch.tensor([1], device=device)
        said = score(torch.zeros_like(two), two, [2], last, temperature, values_reach_layers)
        logprobs, entropy, *outputs = (part[:0] for part in said)
        scored = last[:0]
    else:
        scored = scored_tokens(micro)
        ids, positions, lengths = micro.token_ids, micro.position_ids, micro.lengths.tolist()
        logprobs, entropy, *outputs = score(
            ids, positions, lengths, scored, temperature, values_reach_layers
        )
    zeros = logprobs.new_zeros(micro.num_tokens)
    out = PolicyOutput(
        logprobs=zeros.index_copy(0, scored, logprobs),
        entropy=zeros.index_copy(0, scored, entropy),
    )
    return out, outputs[0] if outputs else None


def _updated(area: str, lr: float, update: Update) -> Metrics:
    metrics = Metrics({f"{area}/lr": Mean(lr, 1), "optim/skipped": Sum(float(update.skipped))})
    return metrics if update.skipped else metrics + {f"{area}/grad_norm": Mean(update.norm, 1)}
