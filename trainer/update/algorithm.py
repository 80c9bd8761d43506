"""The bound slots of a recipe, and what they are at one step: plain functions, plain numbers.

algorithm = Algorithm(slots, temperature=..., lr=...)
algo = algorithm.at(step)            # schedules and controllers become floats
batch = batch.replace(advantages=algo.advantage(batch))
algorithm.observe(metrics)           # controllers look at what happened
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recipes.slots.registry import SlotEntry
from recipes.slots.schedules import Controller
from recipes.slots.spec import JSON
from trainer.batch.outputs import PolicyOutput
from trainer.batch.token_batch import TokenBatch
from trainer.update.objective import Objective, ObjectiveOutput, WeightedTerm

TokenFunction = Callable[[TokenBatch], Tensor]


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What a recipe put into the slots of the update."""

    shaping: Sequence[SlotEntry]
    advantage: SlotEntry
    selections: Sequence[SlotEntry]
    masks: Sequence[SlotEntry]
    correction: SlotEntry
    reduction: SlotEntry
    loss: SlotEntry
    terms: Sequence[SlotEntry]
    numbers: Mapping[str, SlotEntry | float]  # settings outside the slots: "optimizer.lr", ...

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


class Algorithm:
    """Holds the slots and the controllers that live in their options."""

    def __init__(self, slots: Slots, *, updates_per_step: int) -> None:
        self._slots = slots
        self._moving: dict[str, SlotEntry] = {}  # every number that is a schedule or a controller
        self._controllers: dict[str, Controller] = {}
        for path, bound in slots.items():
            for option in bound.entry.numbers | {"coef"}:
                self._adopt(f"{path}.{option}", bound.options.get(option))
        for path, value in slots.numbers.items():
            self._adopt(path, value)
        self.needs = _needs(slots, updates_per_step)

    def _adopt(self, path: str, value: Any) -> None:
        if not isinstance(value, SlotEntry):
            return
        self._moving[path] = value
        if "controller" in value.entry.tags:
            options = {k: v for k, v in value.options.items() if not isinstance(v, SlotEntry)}
            self._controllers[path] = value.entry.function(**options)

    def number(self, path: str, value: SlotEntry | float, step: int) -> float:
        """A Scheduled at `step`: itself, its schedule's value, or its controller's."""
        if not isinstance(value, SlotEntry):
            return value
        if path in self._controllers:
            return self._controllers[path].value(step)
        return float(value.entry.function(step, **value.options))

    def at(self, step: int) -> "StepAlgorithm":
        """Everything with this step's numbers filled in."""

        def call(path: str, bound: SlotEntry) -> Callable[..., Any]:
            return functools.partial(bound.entry.function, **self._options(path, bound, step))

        slots = self._slots
        named = {path: call(path, bound) for path, bound in slots.items()}
        terms = [
            WeightedTerm(
                name=bound.name,
                coef=self.number(f"terms.{i}.coef", bound.options["coef"], step),
                function=named[f"terms.{i}"],
                index=i,
                critic="critic" in bound.entry.tags,
            )
            for i, bound in enumerate(slots.terms)
        ]
        prepares = [path for path, bound in slots.items() if bound.entry.prepare is not None]
        assert len(prepares) <= 1, "check lets only one function look at the minibatch first"
        return StepAlgorithm(
            needs=self.needs,
            look=self._look(*prepares, step=step) if prepares else None,
            shaping=[named[f"shaping.{i}"] for i in range(len(slots.shaping))],
            advantage=named["advantage"],
            masks=[named[f"masks.{i}"] for i in range(len(slots.masks))],
            correct=named["correction"],
            selections=[named[f"selections.{i}"] for i in range(len(slots.selections))],
            reduction=named["reduction"],
            term_populations=[
                (bound.options["mask"], bound.options["reduction"]) for bound in slots.terms
            ],
            objective=Objective(loss=named["loss"], terms=terms),
            numbers={path: self.number(path, value, step) for path, value in slots.numbers.items()},
            controls={path: self.number(path, value, step) for path, value in self._moving.items()},
        )

    def _look(self, path: str, *, step: int) -> Callable[[Tensor, TokenBatch], Tensor]:
        bound = dict(self._slots.items())[path]
        assert bound.entry.prepare is not None
        options = self._options(path, bound, step)
        accepted = inspect.signature(bound.entry.prepare).parameters
        chosen = {name: value for name, value in options.items() if name in accepted}
        return functools.partial(bound.entry.prepare, **chosen)

    def _options(self, path: str, bound: SlotEntry, step: int) -> dict[str, Any]:
        accepted = inspect.signature(bound.entry.function).parameters
        options = {name: value for name, value in bound.options.items() if name in accepted}
        for name in bound.entry.numbers:
            value = self.number(f"{path}.{name}", options[name], step)
            options[name] = round(value) if name in bound.entry.counts else value
        return options

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Show every controller the step's metrics."""
        for controller in self._controllers.values():
            controller.observe(metrics)

    def state_dict(self) -> dict[str, JSON]:
        return {path: c.state_dict() for path, c in self._controllers.items()}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        for path, controller in self._controllers.items():
            controller.load_state_dict(state[path])


@dataclass(frozen=True, kw_only=True)
class StepAlgorithm:
    """The slots at one step. Every method takes a batch and returns a new tensor or batch."""

    needs: frozenset[str]
    shaping: Sequence[TokenFunction]
    advantage: TokenFunction
    masks: Sequence[TokenFunction]
    correct: TokenFunction
    selections: Sequence[TokenFunction]
    reduction: TokenFunction
    look: Callable[[Tensor, TokenBatch], Tensor] | None  # what must see a whole minibatch first
    term_populations: Sequence[tuple[str, str]]  # (mask, reduction) of each term
    objective: Callable[[PolicyOutput, TokenBatch], ObjectiveOutput]
    numbers: Mapping[str, float]
    controls: Mapping[str, float]  # of schedules and controllers alone, in the slots too

    @property
    def rates(self) -> Mapping[str, float]:
        """The learning rates, as `Policy.step` takes them."""
        return {
            "lr": self.numbers["optimizer.lr"],
            "critic_lr": self.numbers.get("critic.optimizer.lr", 0.0),
        }

    def shape(self, batch: TokenBatch) -> Tensor:
        """Rewards [S] after every shaping function, in the recipe's order."""
        for function in self.shaping:
            batch = batch.replace(rewards=function(batch))
        return batch.rewards

    def mask(self, batch: TokenBatch) -> Tensor:
        """Tokens [T] that learn: sampled by the policy, and let through by every mask."""
        mask = batch.action_mask
        for function in self.masks:
            mask = mask & function(batch)
        return mask

    def select(self, batch: TokenBatch) -> TokenBatch:
        """The samples that are trained at all; each selection sees what the last one left."""
        for function in self.selections:
            batch = batch.select(function(batch).nonzero().squeeze(1))
        return batch

    def reduce(self, minibatch: TokenBatch) -> TokenBatch:
        """The minibatch with the weights of its loss and of each term."""
        weights = self.reduction(minibatch)
        columns = [self._term_weights(minibatch, weights, *p) for p in self.term_populations]
        empty = weights.new_zeros((len(weights), 0))
        stacked = torch.stack(columns, dim=1) if columns else empty
        return minibatch.replace(loss_weights=weights, term_weights=stacked)

    def prepare(
        self, minibatch: TokenBatch, annotate: Callable[[TokenBatch, frozenset[str]], TokenBatch]
    ) -> TokenBatch:
        """The minibatch with what its loss must know of all of it, from a pass without gradient.

        annotate: the policy's; asked for the log-probs of its weights as they are now
        """
        if self.look is None:
            return minibatch
        wanted = frozenset({"old_logprobs"})
        now = annotate(minibatch, wanted).old_logprobs
        if not minibatch.has("old_logprobs"):  # the only update of its step
            minibatch = minibatch.replace(old_logprobs=now)
        return minibatch.replace(prepared=self.look(now, minibatch))

    def _term_weights(
        self, minibatch: TokenBatch, loss_weights: Tensor, mask: str, reduction: str
    ) -> Tensor:
        """A term shares the loss's tokens and weights unless the recipe gives it its own."""
        if mask == "train" and reduction == "loss":
            return loss_weights
        population = {
            "train": minibatch.train_mask,
            "action": minibatch.action_mask,
            "observation": observation_mask(minibatch),
        }[mask]
        if reduction == "loss":
            return self.reduction(minibatch.replace(train_mask=population))
        return population / population.sum().clamp(min=1)


def observation_mask(batch: TokenBatch) -> Tensor:
    """Tokens [T] the policy did not sample and that came after its first action."""
    positions = torch.where(batch.action_mask, batch.position_ids, torch.iinfo(torch.long).max)
    first = torch.full_like(batch.lengths, torch.iinfo(torch.long).max)
    first = first.scatter_reduce(0, batch.seq_ids, positions, "amin")
    started = batch.position_ids > first[batch.seq_ids]
    return started & ~batch.action_mask


def _needs(slots: Slots, updates_per_step: int) -> frozenset[str]:
    """What must be computed before the update: the union of what the slots declare.

    With one update per step the loss's `old_logprobs` are those of its own forward pass, so the
    extra pass is saved, unless a slot of the whole step (a correction, say) reads them too.
    """
    whole_step = [
        slots.advantage,
        slots.correction,
        *slots.shaping,
        *slots.masks,
        *slots.selections,
    ]
    needs = {need for bound in whole_step for need in bound.needs}
    per_update = {need for b in [slots.loss, *slots.terms] for need in b.needs}
    if updates_per_step == 1:
        per_update -= {"old_logprobs"}
    return frozenset(needs | per_update)
