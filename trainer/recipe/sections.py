"""The sections of a training recipe: settings and the rules inside one section.

They import none of the code that they set up, so that a recipe is read without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from recipes.errors import RecipeError
from recipes.slots.registry import SlotEntry
from recipes.slots.spec import (
    Amount,
    Count,
    Epsilon,
    LearningRate,
    Seconds,
    Signed,
    Spec,
    Temperature,
    Tokens,
    Width,
)
from trainer.controllers import number
from trainer.verifiers import verifier

if TYPE_CHECKING:
    import torch

VerifierEntry = Annotated[SlotEntry, verifier.nested]


class LoraSpec(Spec):
    """Low-rank adapters: only they are trained, and only they are sent to the engine."""

    rank: Annotated[Width, Field(description="Inner width of each adapter")] = 16
    alpha: Annotated[
        Amount, Field(gt=0, description="Numerator of the adapters' scale, alpha / rank")
    ] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1, description="Dropout on the adapters' input")] = 0.0
    target_modules: Annotated[
        list[str] | Literal["all-linear"],
        Field(description="Names of the layers with an adapter; all-linear: all but the head"),
    ] = "all-linear"


class ModelSpec(Spec):
    """Which model is trained, and in what form."""

    path: Annotated[str, Field(min_length=1, description="Model folder, or `owner/name` on a hub")]
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="Dtype of weights and arithmetic; the optimizer always keeps fp32"),
    ] = "float32"
    context_length: Annotated[
        Tokens, Field(gt=0, description="Maximum tokens of prompt and completion together")
    ] = 4096
    gradient_checkpointing: Annotated[
        bool,
        Field(description="Whether to recompute activations in the backward pass, to save memory"),
    ] = False
    lora: LoraSpec | None = None
    plain: Annotated[
        bool,
        Field(description="Whether to skip the chat template: the prompt is the messages' text"),
    ] = False
    trust_remote_code: Annotated[
        bool, Field(description="Whether to run Python code that comes with the model")
    ] = False

    @property
    def torch_dtype(self) -> "torch.dtype":
        import torch

        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]


class SamplingSpec(Spec):
    """How completions are drawn for training."""

    max_tokens: Annotated[
        SlotEntry | Annotated[Tokens, Field(gt=0)],
        number.entry,
        Field(description="Maximum number of new tokens; may be a schedule (length curriculum)"),
    ]
    temperature: Annotated[
        SlotEntry | Temperature,
        number.entry,
        Field(description="Softmax temperature of the engine and of the trainer's log-probs"),
    ] = 1.0
    top_p: Annotated[
        float, Field(gt=0, le=1, description="Nucleus (top-p) share; below 1 is refused")
    ] = 1.0
    stop: Annotated[list[str], Field(description="Strings that end a completion")] = []


class OptimizerSpec(Spec):
    """AdamW. Norms, biases and other vectors are never decayed."""

    lr: Annotated[
        SlotEntry | LearningRate,
        number.entry,
        Field(description="Learning rate; may be a schedule"),
    ]
    betas: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]],
        Field(min_length=2, max_length=2, description="Decay rates of the two moving averages"),
    ] = [0.9, 0.99]
    eps: Annotated[
        Epsilon, Field(gt=0, description="Constant added to the root of the second moment")
    ] = 1e-8
    weight_decay: Annotated[
        Amount, Field(description="Weight decay per step, times the learning rate")
    ] = 0.0
    max_grad_norm: Annotated[
        Amount,
        Field(gt=0, description="Maximum gradient norm; larger gradients are scaled down to it"),
    ] = 1.0


class CriticSpec(Spec):
    """What estimates the return of a state, and how it learns."""

    renamed = {"trunk": "backbone"}

    backbone: Annotated[
        Literal["separate", "shared"],
        Field(
            description="Layers of the critic; separate: a second model; shared: a head on "
            "the policy's backbone"
        ),
    ] = "separate"
    path: Annotated[
        str | None,
        Field(description="Folder of a language model, reward model or critic; null = the policy"),
    ] = None
    optimizer: Annotated[
        OptimizerSpec | None,
        Field(description="Optimizer of the critic, or of a shared backbone's head; null = frozen"),
    ] = None
    lora: Annotated[
        LoraSpec | None,
        Field(description="Adapters to train, with the head, in place of all weights"),
    ] = None
    pretrain_steps: Annotated[
        Count, Field(description="Number of initial steps that update only the critic")
    ] = 0
    bins: Annotated[
        Count, Field(description="Number of bins of a classifying critic; 0 = one number")
    ] = 0
    low: Annotated[Signed, Field(description="Lower edge of the first bin, reward units")] = -0.1
    high: Annotated[Signed, Field(description="Upper edge of the last bin, reward units")] = 1.1

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.bins == 1 or (self.bins and self.high <= self.low):
            raise RecipeError.of(
                f"{self.bins} bin(s) from {self.low:g} to {self.high:g}",
                path="bins",
                fix="use at least 2 bins with low below high, or bins: 0 for one number",
            )
        if self.backbone == "shared" and (self.path or self.lora):
            raise RecipeError.of(
                "a shared backbone is the policy's: path and lora do not apply to it",
                path="backbone",
                fix="remove path and lora, or set backbone: separate",
            )
        if self.optimizer is None and (
            self.backbone == "shared" or self.pretrain_steps or self.lora
        ):
            raise RecipeError.of(
                "a critic without optimizer is frozen, and this one is meant to learn",
                path="optimizer",
                fix="give it an optimizer, for example {lr: 1e-5}",
            )
        return self

    @property
    def outputs(self) -> int:
        return self.bins or 1


class TeacherSpec(Spec):
    """A fixed model that the policy learns from: what gives `teacher_logprobs`."""

    path: Annotated[str, Field(min_length=1, description="Model folder, or `owner/name` on a hub")]
    dtype: Annotated[Literal["float32", "bfloat16"], Field(description="Weight dtype")] = "float32"


class ShardingSpec(Spec):
    """What the ranks share out between them."""

    zero: Annotated[
        int,
        Field(
            ge=0,
            le=3,
            description="ZeRO stage: 0 nothing sharded, 1 optimizer, 2 gradients, 3 weights",
        ),
    ] = 0
    offload: Annotated[
        Literal["none", "cpu"],
        Field(
            description="Device of the optimizer state (zero 3: of the weights too) between uses"
        ),
    ] = "none"
    timeout_s: Annotated[
        Seconds,
        Field(
            gt=0,
            description="Time limit for another rank in seconds; must exceed the time of a rollout",
        ),
    ] = 3600.0
    heartbeat_s: Annotated[
        Seconds,
        Field(gt=0, description="Seconds without a sign of life after which a rank counts as lost"),
    ] = 120.0

    @model_validator(mode="after")
    def _offload_needs_zero(self) -> Self:
        if self.offload != "none" and self.zero == 0:
            raise RecipeError.of(
                "offload: cpu with zero: 0",
                path="offload",
                fix="set zero to 1, 2 or 3: without it there is no sharded state to move",
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting outside the slots that may be a schedule, with its recipe path."""

    path: str
    value: SlotEntry | float


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What a recipe put into the slots of the update, and the settings that may be schedules."""

    shaping: Sequence[SlotEntry]
    advantage: SlotEntry
    selections: Sequence[SlotEntry]
    masks: Sequence[SlotEntry]
    correction: SlotEntry
    reduction: SlotEntry
    loss: SlotEntry
    terms: Sequence[SlotEntry]
    lr: Setting
    temperature: Setting
    max_tokens: Setting
    critic_lr: Setting | None = None  # None without a critic that learns
    pretrain_steps: int = 0  # first steps, in which only the critic learns

    def items(self) -> Iterator[tuple[str, SlotEntry]]:
        """Every filled slot with its recipe path."""
        yield from ((f"shaping.{i}", bound) for i, bound in enumerate(self.shaping))
        yield "advantage", self.advantage
        yield from ((f"selections.{i}", bound) for i, bound in enumerate(self.selections))
        yield from ((f"masks.{i}", bound) for i, bound in enumerate(self.masks))
        yield "correction", self.correction
        yield "reduction", self.reduction
        yield "loss", self.loss
        yield from ((f"terms.{i}", bound) for i, bound in enumerate(self.terms))

    def schedules(self) -> Iterator[tuple[str, SlotEntry]]:
        """Every number that is a schedule or a controller, with its recipe path."""
        for setting in (self.lr, self.temperature, self.max_tokens, self.critic_lr):
            if setting is not None and isinstance(setting.value, SlotEntry):
                yield setting.path, setting.value
        for path, bound in self.items():
            for option, value in bound.options.items():
                if option in bound.entry.numbers | {"coef"} and isinstance(value, SlotEntry):
                    yield f"{path}.{option}", value
