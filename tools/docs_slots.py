"""The slots in the order of the pages, and which recipes name which function."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.slots.registry import Registered, Registry
from recipes.slots.spec import JSON
from rollout.buffers import buffer
from rollout.engines import engine
from rollout.environments import environment
from rollout.filters import filter_
from rollout.samplers import sampler
from rollout.sources import source
from trainer.advantages import advantage
from trainer.controllers import number
from trainer.corrections import correction
from trainer.loggers import logger
from trainer.losses import loss
from trainer.masks import mask
from trainer.reductions import reduction
from trainer.selections import selection
from trainer.shaping import shaping
from trainer.terms import term
from trainer.verifiers import verifier

Key = tuple[str, str]  # slot and function


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A section of the page."""

    title: str
    path: str  # where a recipe fills it; empty for numbers, which stand inside other entries
    signature: str
    registry: Registry[Any, Any]

    def entries(self, root: Path) -> list[Registered]:
        """The functions that lie below `root`: those of plugins are left out."""
        return [entry for entry in self.registry if Path(entry.file).is_relative_to(root)]


SLOTS = (
    Slot(title="Shaping functions", path="shaping", registry=shaping,
         signature="(batch) -> rewards [S]"),
    Slot(title="Advantage estimators", path="advantage", registry=advantage,
         signature="(batch) -> advantages [T]"),
    Slot(title="Selections", path="selections", registry=selection,
         signature="(batch) -> keep [S]"),
    Slot(title="Masks", path="masks", registry=mask,
         signature="(batch) -> bool [T]"),
    Slot(title="Corrections", path="correction", registry=correction,
         signature="(batch) -> importance_weights [T]"),
    Slot(title="Reductions", path="reduction", registry=reduction,
         signature="(batch) -> loss_weights [T], of a minibatch"),
    Slot(title="Losses", path="loss", registry=loss,
         signature="(out, batch) -> values [T], of a microbatch"),
    Slot(title="Terms", path="terms", registry=term,
         signature="(out, batch) -> values [T], of a microbatch"),
    Slot(title="Numbers: schedules and controllers", path="", registry=number,
         signature="(step) -> float"),
    Slot(title="Problem sources", path="problems.source", registry=source,
         signature="() -> rows"),
    Slot(title="Samplers", path="sampler", registry=sampler,
         signature="(problems, seed) -> Sampler"),
    Slot(title="Environments", path="environment", registry=environment,
         signature="async (problem, context, sampling, n) -> samples"),
    Slot(title="Engines", path="engine", registry=engine,
         signature="(context) -> Engine"),
    Slot(title="Verifiers", path="verifier", registry=verifier,
         signature="async (problem, response) -> Verdict"),
    Slot(title="Filters", path="filters", registry=filter_,
         signature="(group) -> Keep or Drop"),
    Slot(title="Buffers", path="buffer", registry=buffer,
         signature="() -> Buffer"),
    Slot(title="Loggers", path="loggers", registry=logger,
         signature="(context) -> Logger"),
)  # fmt: skip


def anchors(root: Path) -> dict[Key, str]:
    """(slot, function) -> its anchor on the page: its name, numbered from the second slot on."""
    found: dict[Key, str] = {}
    for entry in (entry for slot in SLOTS for entry in slot.entries(root)):
        before = sum(name == entry.name for _, name in found)
        found[entry.slot, entry.name] = f"{entry.name}-{before}" if before else entry.name
    return found


def named(tree: Mapping[str, JSON]) -> Iterator[Key]:
    """(slot, function) of every entry in a recipe's tree, nested entries and numbers included."""
    for slot in SLOTS:
        value: JSON = tree
        for part in slot.path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield slot.registry.slot, item
            yield from _entry(item, slot.registry)
    for section in ("optimizer", "sampling"):
        yield from _nested(tree.get(section), number)


def _entry(value: JSON, registry: Registry[Any, Any]) -> Iterator[Key]:
    if isinstance(value, Mapping):
        yield registry.slot, str(value.get("name"))
    yield from _nested(value, registry)


def _nested(value: JSON, registry: Registry[Any, Any]) -> Iterator[Key]:
    """Entries inside the options: of the same slot, or numbers."""
    inside = value.values() if isinstance(value, Mapping) else value
    for inner in inside if isinstance(value, Mapping | list) else ():
        if isinstance(inner, Mapping) and "name" in inner:
            yield from _entry(inner, registry if inner["name"] in registry.names() else number)
        elif isinstance(inner, Mapping | list):
            yield from _nested(inner, registry)
