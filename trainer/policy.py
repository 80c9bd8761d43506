"""The policy: the model that learns, over however many ranks. The only place that knows of ranks.

    annotate   what the model says before the update, each rank a share, all ranks get the whole
    split      this rank's microbatches of a minibatch; the same number on every rank
    forward    log-probs and entropy with gradient
    backward   add a microbatch's part of the objective to the gradient
    step       sum over ranks, clip, update; or skip, on all ranks, what is not finite

`logprobs[t]` speaks of token t; the shift by one lives in `trainer.scorer` and nowhere else.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from recipes.errors import RecipeError
from trainer.batch import TokenBatch
from trainer.metrics import AnyMetric, Mean, Metrics, Sum
from trainer.microbatches import scored_tokens, share_out, trained_sequences
from trainer.model import ModelSpec, add_adapter, load_model, load_tokenizer, model_folder
from trainer.optimizer import OptimizerSpec
from trainer.outputs import PolicyOutput
from trainer.random_state import load_random_state, save_random_state
from trainer.replicas import Replicas
from trainer.scorer import Scorer, check_head
from trainer.sharding import Processes, Sharded, ShardingSpec
from trainer.weights import (
    PolicyWeights,
    adapter_tensors,
    checkpoint_names,
    full_tensors,
    save_adapter,
    save_model,
)
from trainer.zero import FrozenZero, Zero, loaded_in_parts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")
Score = Callable[..., tuple[Tensor, Tensor]]

_COMPUTED = frozenset({"old_logprobs", "ref_logprobs", "entropy"})


class Policy:
    """See the module. `temperature` is the sampler's and is set before each step."""

    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        sharding: ShardingSpec,
        *,
        needs: frozenset[str] = frozenset(),
        seed: int = 0,
        max_tokens: int = 16384,
        adapters: Path | None = None,
    ) -> None:
        """Join the ranks and load the model.

        needs: batch fields that `annotate` will be asked for; ref_logprobs keeps a second model
            unless an adapter can be switched off
        seed: of the adapter's first weights and of its dropout
        max_tokens: of a forward pass without gradient, per rank
        adapters: folder for the adapter's versions, seen by every engine; temporary when not given
        """
        self.temperature = 1.0
        self.folder = model_folder(model)
        self._model, self._sharding = model, sharding
        self._max_tokens = max_tokens
        self._processes = Processes.start(sharding)
        self._adapters = adapters
        torch.manual_seed(seed)  # the same on every rank: the adapter's first weights
        causal_lm = self._load()
        self._adapted = add_adapter(causal_lm, model.lora) if model.lora else None
        self._scorer = Scorer(causal_lm)
        self._sharded = self._shard(optimizer)
        self._reference: Score | None = None
        if "ref_logprobs" in needs and self._adapted is None:
            self._reference = self._frozen_copy()
        torch.manual_seed(seed + 1 + self._processes.rank)

    @property
    def is_main(self) -> bool:
        return self._processes.is_main

    @property
    def world_size(self) -> int:
        return self._processes.world_size

    def barrier(self) -> None:
        self._processes.barrier()

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        return self._processes.broadcast(value)

    # -- loading ---------------------------------------------------------------------------------

    def _load(self) -> "PreTrainedModel":
        with loaded_in_parts(self._sharding, self._model.torch_dtype, self._processes):
            return load_model(self._model)

    def _shard(self, optimizer: OptimizerSpec) -> Sharded:
        if self._sharding.zero < 3:
            check_head(self._scorer)
        if self._sharding.zero == 0:
            return Replicas(self._scorer, optimizer, self._processes)
        dtype, processes = self._model.torch_dtype, self._processes
        return Zero(self._scorer, optimizer, self._sharding, dtype, processes)

    def _frozen_copy(self) -> Score:
        scorer = Scorer(self._load()).requires_grad_(False).eval()
        if self._sharding.zero < 3:
            return scorer.to(self._processes.device)
        return FrozenZero(scorer, self._sharding, self._model.torch_dtype, self._processes)

    # -- saying what the model thinks ------------------------------------------------------------

    @torch.no_grad()
    def annotate(self, batch: TokenBatch, needs: frozenset[str]) -> TokenBatch:
        """The batch with what `needs` names of old_logprobs, ref_logprobs and entropy.

        Every rank passes a share through the model and every rank gets all of it.
        """
        wanted = needs & _COMPUTED
        if not wanted:
            return batch
        fields = {name: torch.zeros(batch.num_tokens) for name in sorted(wanted)}
        starts = (batch.lengths.cumsum(0) - batch.lengths).tolist()
        lengths = batch.lengths.tolist()
        self._scorer.eval()
        for members in self._share(lengths, self._max_tokens):
            micro = batch.select(members).to(self._processes.device)
            spans = [torch.arange(starts[i], starts[i] + lengths[i]) for i in members]
            tokens = torch.cat([torch.arange(0), *spans])
            for name, values in self._annotations(micro, wanted).items():
                fields[name][tokens] = values.float().cpu()
        for name in fields:  # each token has one rank's value and the others' zero
            self._processes.sum(fields[name])
        return batch.replace(**fields)

    def _annotations(self, micro: TokenBatch, wanted: frozenset[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if wanted - {"ref_logprobs"}:
            out = self._output(micro, self._sharded)
            found = {"old_logprobs": out.logprobs, "entropy": out.entropy}
        if "ref_logprobs" in wanted:
            with self._without_adapter():
                found["ref_logprobs"] = self._output(micro, self._reference_score).logprobs
        return {name: found[name] for name in wanted}

    @property
    def _reference_score(self) -> Score:
        if self._adapted is not None:
            return self._sharded
        assert self._reference is not None, "needs=('ref_logprobs',) was not said at the start"
        return self._reference

    def _without_adapter(self) -> AbstractContextManager[None]:
        return nullcontext() if self._adapted is None else self._adapted.disable_adapter()

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

    def forward(self, micro: TokenBatch) -> PolicyOutput:
        """Log-probs and entropy [T] at the sampling temperature, with gradient."""
        self._scorer.train()
        return self._output(micro, self._sharded)

    def _output(self, micro: TokenBatch, score: Score) -> PolicyOutput:
        device = self._processes.device
        if micro.num_tokens == 0:  # the other ranks wait for this one inside the model
            two, last = torch.arange(2, device=device), torch.tensor([1], device=device)
            logprobs, entropy = score(torch.zeros_like(two), two, [2], last, self.temperature)
            return PolicyOutput(logprobs=logprobs[:0], entropy=entropy[:0])
        scored, lengths = scored_tokens(micro), micro.lengths.tolist()
        logprobs, entropy = score(
            micro.token_ids, micro.position_ids, lengths, scored, self.temperature
        )
        zeros = logprobs.new_zeros(micro.num_tokens)
        return PolicyOutput(
            logprobs=zeros.index_copy(0, scored, logprobs),
            entropy=zeros.index_copy(0, scored, entropy),
        )

    # -- learning --------------------------------------------------------------------------------

    def backward(self, total: Tensor) -> None:
        """Add a microbatch's part of the objective to the gradient."""
        self._sharded.backward(total)

    def step(self, lr: float) -> Metrics:
        """Update all ranks with the gradient's sum, or none where a loss or it is not finite.

        Returns optim/lr, optim/skipped (updates left out) and optim/grad_norm (of the whole
        gradient, before clipping); on rank 0 only, so that a merge over ranks counts once.
        """
        update = self._sharded.step(lr)
        if not self.is_main:
            return Metrics()
        metrics = Metrics({"optim/lr": Mean(lr, 1), "optim/skipped": Sum(float(update.skipped))})
        return metrics if update.skipped else metrics + {"optim/grad_norm": Mean(update.norm, 1)}

    def merge(self, metrics: Mapping[str, AnyMetric]) -> Metrics:
        """The metrics of all ranks as one, the same on every rank."""
        merged = Metrics()
        for part in self._processes.gather(dict(metrics)):
            merged += part
        return merged

    # -- giving the weights away -----------------------------------------------------------------

    def weights(self, version: int) -> PolicyWeights:
        """The weights for the engine; every rank calls, rank 0 uses what comes back.

        Whole weights are handed over as they are, without a copy; sharded ones are gathered to
        rank 0's CPU memory first.
        """
        self._scorer.eval()
        whole, adapted, causal_lm = self._sharded.whole, self._adapted, self._scorer.causal_lm
        tensors = self._tensors
        adapter: Callable[[], dict[str, Tensor]] = self._adapter_tensors
        if not whole:
            gathered, gathered_adapter = tensors(), adapter() if adapted else {}
            tensors, adapter = (lambda: gathered), (lambda: gathered_adapter)
        if self._adapters is None and adapted is not None:
            self._adapters = Path(tempfile.mkdtemp(prefix="adapters-"))
        return PolicyWeights(
            folder=self.folder,
            shared_module=causal_lm if whole else None,
            tensors=lambda: checkpoint_names(causal_lm, tensors()),
            save_adapter=(lambda to: save_adapter(adapted, adapter(), to)) if adapted else None,
            adapters=self._adapters or Path(),
        )

    def _tensors(self) -> dict[str, Tensor]:
        """Full weights by the bare model's names; gathered ones on rank 0 only."""
        named = full_tensors(self._scorer.causal_lm, self._sharded.gathered)
        if self._sharded.whole:
            return dict(named)
        kept = {}
        for name, tensor in named:  # every rank walks through, one keeps
            if self.is_main:
                kept[name] = tensor.cpu().clone()
        return kept

    def _adapter_tensors(self) -> dict[str, Tensor]:
        return adapter_tensors(self._scorer.causal_lm, self._sharded.gathered)

    def export(self, folder: Path, *, merge: bool = False) -> None:
        """Write a Hugging Face folder with tokenizer; of an adapter, it alone unless `merge`."""
        adapter_alone = self._adapted is not None and not merge
        tensors = self._adapter_tensors() if adapter_alone else self._tensors()
        if self.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            if adapter_alone and self._adapted is not None:
                save_adapter(self._adapted, tensors, folder)
            else:
                save_model(self._scorer.causal_lm, tensors, self.folder, folder)
            load_tokenizer(self._model).save_pretrained(folder)
        self.barrier()

    # -- state -----------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Weights, optimizer and random state of every rank; all ranks write into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.is_main:
            (folder / "layout.json").write_text(json.dumps(self._layout))
        self._sharded.save(folder)
        save_random_state(folder, self._processes.rank)

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
        self._sharded.load(folder)
        load_random_state(folder, self._processes.rank)

    @property
    def _layout(self) -> dict[str, int]:
        """What must be the same to read a checkpoint; whole replicas fit any number of ranks."""
        zero = self._sharding.zero
        return {"zero": zero, "processes": self._processes.world_size} if zero else {"zero": 0}
