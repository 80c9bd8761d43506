"""The sections of a training recipe: settings and the rules inside one section.

They import none of the code that they set up, so that a recipe is read without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from recipes.errors import RecipeError
from recipes.slots.registry import SlotEntry, did_you_mean
from recipes.slots.spec import MetricName, Spec
from trainer.controllers import number
from trainer.verifiers import verifier

if TYPE_CHECKING:
    import torch

VerifierEntry = Annotated[SlotEntry, verifier.nested]


class LoraSpec(Spec):
    """Low-rank adapters: only they are trained, and only they are sent to the engine."""

    rank: Annotated[int, Field(gt=0, description="inner width of each adapter")] = 16
    alpha: Annotated[float, Field(gt=0, description="adapters are scaled by alpha / rank")] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1, description="on the adapters' input")] = 0.0
    target_modules: Annotated[
        list[str] | Literal["all-linear"],
        Field(description="names of the layers that get one; all-linear: all but the head"),
    ] = "all-linear"


class ModelSpec(Spec):
    """Which model is trained, and in what form."""

    path: Annotated[str, Field(min_length=1, description="model folder, or `owner/name` on a hub")]
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="of weights and arithmetic; the optimizer keeps fp32 either way"),
    ] = "float32"
    context_length: Annotated[
        int, Field(gt=0, description="prompt and completion together, tokens")
    ] = 4096
    gradient_checkpointing: Annotated[
        bool, Field(description="compute activations again in the backward pass: less memory")
    ] = False
    lora: LoraSpec | None = None
    plain: Annotated[
        bool, Field(description="no chat template: the prompt is the messages' text")
    ] = False
    trust_remote_code: Annotated[
        bool, Field(description="run Python code that comes with the model")
    ] = False

    @property
    def torch_dtype(self) -> "torch.dtype":
        import torch

        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]


class SamplingSpec(Spec):
    """How completions are drawn for training."""

    max_tokens: Annotated[
        SlotEntry | Annotated[int, Field(gt=0)],
        number.entry,
        Field(description="most new tokens; may be a schedule (length curriculum)"),
    ]
    temperature: Annotated[
        SlotEntry | Annotated[float, Field(ge=0)],
        number.entry,
        Field(description="softmax temperature; the trainer's log-probs use it too"),
    ] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1, description="nucleus; below 1 is refused")] = 1.0
    stop: Annotated[list[str], Field(description="strings that end a completion")] = []


class OptimizerSpec(Spec):
    """AdamW. Norms, biases and other vectors are never decayed."""

    name: Literal["adamw"] = "adamw"
    lr: Annotated[
        number.field,  # type: ignore[name-defined]
        Field(description="learning rate; may be a schedule"),
    ]
    betas: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]],
        Field(min_length=2, max_length=2, description="decay of the two moving averages"),
    ] = [0.9, 0.99]
    eps: Annotated[float, Field(gt=0, description="added to the root of the second moment")] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, description="per step, times the rate")] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, description="the gradient is scaled to this")] = 1.0


class CriticSpec(Spec):
    """What estimates the return of a state, and how it learns."""

    renamed = {"trunk": "backbone"}

    backbone: Annotated[
        Literal["separate", "shared"],
        Field(description="separate: a second model; shared: a value head on the policy's layers"),
    ] = "separate"
    path: Annotated[
        str | None,
        Field(
            description="a language model, a reward model or an exported critic; null: model.path"
        ),
    ] = None
    optimizer: Annotated[
        OptimizerSpec | None,
        Field(description="of the critic, or of a shared backbone's head; null: it is frozen"),
    ] = None
    lora: Annotated[
        LoraSpec | None, Field(description="train adapters and the head instead of all weights")
    ] = None
    pretrain_steps: Annotated[
        int, Field(ge=0, description="first steps in which the critic learns and the policy rests")
    ] = 0
    bins: Annotated[
        int, Field(ge=0, description="classes of a classifying critic; 0: one number")
    ] = 0
    low: Annotated[float, Field(description="lower edge of the first bin, reward units")] = -0.1
    high: Annotated[float, Field(description="upper edge of the last bin, reward units")] = 1.1

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

    path: Annotated[str, Field(min_length=1, description="model folder, or `owner/name` on a hub")]
    dtype: Annotated[Literal["float32", "bfloat16"], Field(description="of its weights")] = (
        "float32"
    )


class ShardingSpec(Spec):
    """What the ranks share out between them."""

    zero: Annotated[
        int,
        Field(ge=0, le=3, description="share out: 0 nothing, 1 optimizer, 2 gradients, 3 weights"),
    ] = 0
    offload: Annotated[
        Literal["none", "cpu"],
        Field(description="keep the optimizer's state (zero 3: the weights too) in CPU memory"),
    ] = "none"
    timeout_s: Annotated[
        float, Field(gt=0, description="longest wait for another rank; must outlast a rollout")
    ] = 3600.0

    @model_validator(mode="after")
    def _offload_needs_zero(self) -> Self:
        if self.offload != "none" and self.zero == 0:
            raise RecipeError.of(
                "offload: cpu with zero: 0",
                path="offload",
                fix="set zero to 1, 2 or 3: without it there is no sharded state to move",
            )
        return self


class ProbeSpec(Spec):
    """The standing comparison of engine and trainer."""

    prompts: Annotated[int, Field(ge=0, description="fixed prompts; 0 turns the probe off")] = 4
    tokens: Annotated[int, Field(gt=0, description="tokens drawn per prompt")] = 8
    max_gap: Annotated[
        float,
        Field(gt=0, description="largest mean |log-prob difference| in nats before the run stops"),
    ] = 0.05


class CheckpointSpec(Spec):
    """How often to save and how much to keep."""

    every: Annotated[int, Field(ge=0, description="steps between saves; 0: only at the end")] = 20
    keep: Annotated[int, Field(ge=1, description="newest checkpoints to keep")] = 2


class RecordSpec(Spec):
    """Which steps are kept for `temper replay`."""

    every: Annotated[
        int, Field(ge=0, description="steps between two recorded ones, from step 0; 0: none")
    ] = 0


class LimitsSpec(Spec):
    """When a run that goes wrong stops by itself."""

    max_missing_frac: Annotated[
        float, Field(gt=0, le=1, description="share of verdicts that may be missing")
    ] = 0.2
    missing_window: Annotated[
        int, Field(gt=0, description="verdicts over which that share is taken")
    ] = 200
    max_skipped_steps: Annotated[
        int, Field(gt=0, description="non-finite updates in a row before the run stops")
    ] = 3
    max_refills: Annotated[
        int, Field(gt=0, description="a step may drop this many times its groups, and once more")
    ] = 20
    allow_verifier_change: Annotated[
        bool, Field(description="go on from a checkpoint with another verifier, or another version")
    ] = False


class WatchBound(Spec):
    """How far one metric may move between the two halves while the reward rises."""

    metric: Annotated[MetricName, Field(min_length=1, description="name of the metric to bound")]
    max_fall: Annotated[float | None, Field(ge=0, description="in the metric's unit")] = None
    max_rise: Annotated[float | None, Field(ge=0, description="in the metric's unit")] = None
    max_growth: Annotated[
        float | None, Field(gt=1, description="newer half over older half, a factor")
    ] = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.max_fall is self.max_rise is self.max_growth is None:
            raise RecipeError.of(
                f"nothing is bounded of {self.metric}",
                fix="set max_fall, max_rise or max_growth",
            )
        return self

    def broken(self, older: float, newer: float) -> str:
        """What of it is broken, in words; empty when it holds."""
        moved = f"{self.metric} went from {older:.4g} to {newer:.4g}"
        if self.max_fall is not None and older - newer > self.max_fall:
            return f"{moved} (may fall by {self.max_fall:g})"
        if self.max_rise is not None and newer - older > self.max_rise:
            return f"{moved} (may rise by {self.max_rise:g})"
        if self.max_growth is not None and newer > self.max_growth * older:
            return f"{moved} (may grow to {self.max_growth:g} times)"
        return ""


class WatchSpec(Spec):
    """The watch against a reward that is gamed; off without verifiers and bounds."""

    verifiers: Annotated[
        dict[str, VerifierEntry],
        Field(description="stricter verifiers, asked without a say in the reward: `watch/<name>`"),
    ] = {}
    sample_frac: Annotated[
        float, Field(gt=0, le=1, description="share of the responses that they are asked about")
    ] = 0.1
    bounds: Annotated[list[WatchBound], Field(description="what may not move with the reward")] = []
    reward: Annotated[MetricName, Field(description="metric that rises with the reward")] = (
        "rollout/reward"
    )
    min_rise: Annotated[float, Field(gt=0, description="of the reward, in its unit")] = 0.02
    window: Annotated[int, Field(ge=2, description="steps; the newer half against the older")] = 20
    patience: Annotated[int, Field(ge=1, description="steps in a row with an alarm to a stop")] = 3
    stop: Annotated[bool, Field(description="stop the run; otherwise log the alarms only")] = True

    @model_validator(mode="after")
    def _metrics_exist(self) -> Self:
        ours = ["watch/reward", "watch/repetition"]
        ours += [
            f"watch/{name}{suffix}" for name in self.verifiers for suffix in ("", "_agreement")
        ]
        for index, bound in enumerate(self.bounds):
            if bound.metric.startswith("watch/") and bound.metric not in ours:
                raise RecipeError.of(
                    f"no verifier of the watch gives {bound.metric}",
                    path=f"bounds.{index}.metric",
                    fix=f"{did_you_mean(bound.metric, ours)}(known: {', '.join(ours)})",
                )
        return self

    @property
    def asks(self) -> bool:
        """Whether responses must be looked at."""
        return bool(self.verifiers) or any(b.metric.startswith("watch/") for b in self.bounds)


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
