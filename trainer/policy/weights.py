"""The policy's weights as others take them: engines, and files in Hugging Face format.

WeightExporter    gathers the weights where each rank holds a part -> PolicyWeights, or a folder
Publisher         weights -> engine, versioned, then the probe

An adapter is never merged in place: merging and unmerging in bf16 drifts the frozen weights. It is
merged on a copy, one layer at a time.

The probe draws a few tokens for a few fixed prompts from the engine and asks the trainer for the
log-probs of the same tokens. Both claim to be the same policy; the gap says how far they are
apart. Stale, half-loaded or re-ordered weights are silent everywhere else and loud here.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from rewards.types import Problem, Verdict
from rollout.generation import Engine, WeightSource
from rollout.types import Completion, Group, Sample, Sampling, Status
from trainer.batch import TokenBatch, pack
from trainer.metrics import AnyMetric, Max, Mean
from trainer.models.load import ADAPTER, Gathered, load_tokenizer
from trainer.parallel.rank_zero import on_main
from trainer.parallel.ranks import ParallelModule, Processes
from trainer.recipe.monitoring import ProbeSpec
from trainer.recipe.sections import ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

T = TypeVar("T")
_KEPT = 8  # adapter folders that stay; an engine may still be asked for older versions


def full_tensors(causal_lm: "PreTrainedModel", gathered: Gathered) -> Iterator[tuple[str, Tensor]]:
    """Every weight by its name in the bare model, tied ones under each name, adapters merged.

    A yielded tensor is whole only until the next one is asked for, unless weights are whole anyway.
    Collective over the ranks where they are not.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    inside: set[nn.Module] = set()
    for name, module in causal_lm.named_modules():
        if module in inside:
            continue
        if isinstance(module, BaseTunerLayer):
            inside.update(module.modules())
            with gathered(list(module.parameters())):
                yield from _merged(name, module)
            continue
        own = dict(module.named_parameters(recurse=False))
        with gathered(list(own.values())):
            for short, parameter in own.items():
                yield _joined(name, short), parameter.detach()
        for short, buffer in module.named_buffers(recurse=False):
            if short not in module._non_persistent_buffers_set:
                yield _joined(name, short), buffer


def collected(
    model: "PreTrainedModel", sharded: ParallelModule, is_main: bool
) -> dict[str, Tensor]:
    """Full weights by the bare model's names; where they must be gathered, on rank 0 only."""
    named = full_tensors(model, sharded.gathered)
    if sharded.whole:
        return dict(named)
    kept = {}
    for name, tensor in named:  # every rank walks through, one keeps
        if is_main:
            kept[name] = tensor.cpu().clone()
    return kept


def _joined(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


def _merged(name: str, layer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A layer with its adapter added, on a copy, in fp32 until the end."""
    from peft.tuners.lora import LoraLayer

    assert isinstance(layer, LoraLayer), f"{name} has an adapter that is not LoRA"
    for short, parameter in layer.get_base_layer().named_parameters(recurse=False):
        tensor = parameter.detach()
        if short == "weight":
            with torch.no_grad():
                delta = layer.get_delta_weight(ADAPTER)
            tensor = (tensor.float() + delta.float()).to(tensor.dtype)
        yield _joined(name, short), tensor


def adapter_tensors(causal_lm: "PreTrainedModel", gathered: Gathered) -> dict[str, Tensor]:
    """The trained parts of a model with adapters, on the CPU, by the names of PEFT's files."""
    tensors = {}
    for name, parameter in causal_lm.named_parameters():
        if parameter.requires_grad:
            with gathered([parameter]):
                tensors[f"base_model.model.{name}"] = parameter.detach().cpu().clone()
    return tensors


def checkpoint_names(
    causal_lm: "PreTrainedModel", tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors as the model's published files name and cut them (experts, for one)."""
    from transformers.core_model_loading import revert_weight_conversion

    named: dict[str, Tensor] = revert_weight_conversion(causal_lm, dict(tensors))
    return named


@dataclass(frozen=True, kw_only=True)
class PolicyWeights:
    """One version of the weights; see `rollout.engines.WeightSource`."""

    folder: Path
    shared_module: nn.Module | None
    tensors: Callable[[], Mapping[str, Tensor]]  # by checkpoint name; rank 0 has them
    save_adapter: Callable[[Path], None] | None  # None: all weights are trained
    adapters: Path  # where adapter folders go

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Full weights by checkpoint name, adapters merged on a copy, tied head included."""
        yield from self.tensors().items()

    def adapter_folder(self, version: int) -> Path | None:
        """A folder of its own for each version: an engine must never mistake one for another."""
        if self.save_adapter is None:
            return None
        folder = self.adapters / f"policy-v{version:06d}"
        if not folder.exists():
            staging = self.adapters / f".saving-v{version:06d}"
            self.save_adapter(staging)
            staging.rename(folder)  # an engine never sees half an adapter
            older = sorted(p for p in self.adapters.glob("policy-v*") if p < folder)
            for old in older[: 1 - _KEPT]:
                shutil.rmtree(old)
        return folder


def save_adapter(adapted: "PeftModel", tensors: Mapping[str, Tensor], folder: Path) -> None:
    """A PEFT folder: the adapter's configuration and these tensors."""
    adapted.save_pretrained(
        str(folder),
        state_dict=dict(tensors),
        selected_adapters=[ADAPTER],
        save_embedding_layers=False,
    )


def save_model(
    causal_lm: "PreTrainedModel", tensors: Mapping[str, Tensor], source: Path, folder: Path
) -> None:
    """A Hugging Face folder with these tensors: configuration, weights, generation defaults."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=causal_lm.is_remote_code())
    with torch.device("meta"):
        empty = type(causal_lm)(config)
    if (source / "generation_config.json").exists():
        empty.generation_config = GenerationConfig.from_pretrained(source)
    empty.to(causal_lm.dtype).save_pretrained(folder, state_dict=dict(tensors))


@dataclass(kw_only=True)
class WeightExporter:
    """Gives a model's weights away, gathered first where each rank holds a part."""

    causal_lm: "PreTrainedModel"
    adapted: "PeftModel | None"  # the same model with its adapter, if it has one
    sharded: ParallelModule
    processes: Processes
    model: ModelSpec
    folder: Path  # that the model was loaded from
    adapters: Path | None  # for the adapter's versions; temporary when None
    _temporary: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def weights(self) -> PolicyWeights:
        """The weights for the engine; every rank calls, rank 0 uses what comes back.

        Whole weights are handed over as they are, without a copy; sharded ones are gathered to
        rank 0's CPU memory first.
        """
        whole, adapted, causal_lm = self.sharded.whole, self.adapted, self.causal_lm
        tensors = self._tensors
        adapter: Callable[[], dict[str, Tensor]] = self._adapter_tensors
        if not whole:
            gathered, gathered_adapter = tensors(), adapter() if adapted else {}
            tensors, adapter = (lambda: gathered), (lambda: gathered_adapter)
        if self.adapters is None and adapted is not None:
            self._temporary = tempfile.TemporaryDirectory(prefix="adapters-")
            self.adapters = Path(self._temporary.name)
        return PolicyWeights(
            folder=self.folder,
            shared_module=causal_lm if whole else None,
            tensors=lambda: checkpoint_names(causal_lm, tensors()),
            save_adapter=(lambda to: save_adapter(adapted, adapter(), to)) if adapted else None,
            adapters=self.adapters or Path(),
        )

    def export(self, folder: Path, *, merge: bool) -> None:
        """Write a Hugging Face folder with tokenizer; of an adapter, it alone unless `merge`."""
        alone = None if merge else self.adapted
        tensors = self._adapter_tensors() if alone else self._tensors()
        if self.processes.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            if alone:
                save_adapter(alone, tensors, folder)
            else:
                save_model(self.causal_lm, tensors, self.folder, folder)
            load_tokenizer(self.model).save_pretrained(folder)
        self.processes.barrier()

    def _tensors(self) -> dict[str, Tensor]:
        return collected(self.causal_lm, self.sharded, self.processes.is_main)

    def _adapter_tensors(self) -> dict[str, Tensor]:
        return adapter_tensors(self.causal_lm, self.sharded.gathered)


class ProbeFailed(Exception):
    """Engine and trainer disagree: training on would learn from another policy's samples."""


class ProbePolicy(Protocol):
    """What publishing needs of the policy."""

    @property
    def is_main(self) -> bool: ...
    def weights(self) -> WeightSource: ...
    def annotate(
        self, batch: TokenBatch, needs: frozenset[str], temperature: float
    ) -> TokenBatch: ...
    def broadcast(self, value: T) -> T: ...


class Publisher:
    """Hands the policy's weights to the engine and checks that they arrived.

    engine: on rank 0; None on the others, which take part in gathering and in the probe
    """

    def __init__(
        self,
        policy: ProbePolicy,
        engine: Engine | None,
        prompts: Sequence[tuple[int, ...]],
        spec: ProbeSpec,
    ) -> None:
        self._policy = policy
        self._engine = engine
        self._prompts = prompts[: spec.prompts]
        self._spec = spec

    async def __call__(self, version: int, temperature: float) -> dict[str, AnyMetric]:
        """Publish as `version`; returns the probe's metrics. Raises ProbeFailed.

        temperature: of the probe's samples, and of the log-probs that they are compared with
        """
        weights = self._policy.weights()
        await on_main(self._policy, lambda: self._load(weights, version))
        if not self._prompts:
            return {}
        drawn = await on_main(self._policy, lambda: self._draw(temperature))
        batch = pack(
            [_as_group(p, c, i) for i, (p, c) in enumerate(zip(self._prompts, drawn, strict=True))]
        )
        batch = self._policy.annotate(batch, frozenset({"old_logprobs"}), temperature)
        gap = (batch.old_logprobs - batch.behavior_logprobs)[batch.action_mask].abs()
        mean = float(gap.mean()) if gap.numel() else 0.0
        if not mean <= self._spec.max_gap:  # also true for NaN
            raise ProbeFailed(
                f"after publishing version {version}, engine and trainer differ by {mean:.4f} nats "
                f"a token (largest {float(gap.max()):.4f}; allowed {self._spec.max_gap}): the "
                "engine does not sample from the trainer's weights. Likely causes: weights that "
                "did not arrive (tied head, merged adapter), a stale prefix cache, another dtype "
                "or top_p than the trainer assumes. Set probe.max_gap only after ruling these out"
            )
        return {"probe/gap_mean": Mean.over(gap), "probe/gap_max": Max.over(gap)}

    async def _load(self, weights: WeightSource, version: int) -> None:
        assert self._engine is not None, "the first rank has the engine"
        await self._engine.load_weights(weights, version)

    async def _draw(self, temperature: float) -> list[Completion]:
        assert self._engine is not None, "the first rank has the engine"
        sampling = Sampling(max_tokens=self._spec.tokens, temperature=temperature, seed=20_000)
        drawn: list[Completion] = []
        for prompt in self._prompts:
            drawn += await self._engine.generate(prompt, sampling, 1)
        if any(len(completion.token_ids) == 0 for completion in drawn):
            raise ProbeFailed(
                "the engine returned an empty completion for a probe: the prompt fills the "
                "context; raise model.context_length or lower problems.max_prompt_tokens"
            )
        return drawn


def _as_group(prompt: Sequence[int], completion: Completion, group_id: int) -> Group:
    """A completion as a group of one, so that the probe takes the same road as training."""
    ids = torch.tensor([*prompt, *completion.token_ids.tolist()], dtype=torch.int32).numpy()
    blank = len(prompt)
    logprobs = torch.zeros(len(ids)).numpy()
    logprobs[blank:] = completion.logprobs
    versions = torch.full((len(ids),), -1, dtype=torch.int32).numpy()
    versions[blank:] = completion.policy_version
    sample = Sample(
        token_ids=ids,
        action_mask=torch.arange(len(ids)).ge(blank).numpy(),
        behavior_logprobs=logprobs,
        policy_version=versions,
        turn_ids=torch.zeros(len(ids), dtype=torch.int32).numpy(),
        role="policy",
        verdict=Verdict.binary(False),
        answer="",
        status=Status.COMPLETED,
        index=0,
    )
    problem = Problem(id=f"probe-{group_id}", messages=(), answer="")
    return Group(problem=problem, samples=(sample,), group_id=group_id)
