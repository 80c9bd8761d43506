"""`temper explain`: what a recipe means, in full."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.suite import Suite
from recipes.loading.recipe_tree import Loaded
from recipes.loading.yaml_nodes import dump_inline
from recipes.slots.registry import SlotEntry, relative, to_plain
from recipes.slots.spec import JSON
from trainer.commands.survey import arithmetic
from trainer.recipe.check import load_any, notes
from trainer.recipe.config import Recipe
from trainer.recipe.kinds import AnyRecipe, SftRecipe


def explain_recipe(name: str, overrides: Sequence[str], console: Console) -> None:
    """Print the pipeline, then every setting with the place that set it."""
    recipe, loaded = load_any(name, overrides)
    console.print(Text(f"{relative(str(loaded.root))} resolves to", style="bold"))
    if isinstance(recipe, Recipe):
        console.print(arithmetic(recipe))
        for note in notes(recipe):
            console.print(f"note: {note}")
    for link in loaded.papers:
        console.print(f"paper: {link}")
    filled = list(pipeline(recipe))
    schedules = recipe.slots.schedules() if isinstance(recipe, Recipe) else ()
    for path, bound in [*filled, *schedules]:
        entry = bound.entry
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        place = f"{relative(entry.file)}:{entry.line}"
        table.add_row(Text(path, style="bold"), Text(entry.name, style="bold cyan"), place)
        table.add_row("", entry.summary, "")
        if entry.paper:
            table.add_row("", entry.paper, "")
        for option, value in bound.options.items():
            table.add_row("", f"{option} = {_short(value)}", _origin(f"{path}.{option}", loaded))
        console.print(table)
    table = Table(box=None, title="settings", title_justify="left", padding=(0, 2, 0, 0))
    for heading in ("setting", "value", "set by"):
        table.add_column(heading)
    slots = {path.partition(".")[0] for path, _ in filled} - {"problems"}
    for path, value in _flat(recipe.model_dump(mode="json"), ""):
        if path.partition(".")[0] not in slots and not path.startswith("problems.source"):
            table.add_row(path, _short(value), _origin(path, loaded))
    console.print(table)


def pipeline(recipe: AnyRecipe) -> Iterator[tuple[str, SlotEntry]]:
    """Every filled slot in the order a sample meets it."""
    if isinstance(recipe, Recipe):
        yield "problems.source", recipe.problems.source
        yield "sampler", recipe.sampler
        yield "engine", recipe.engine
        yield "environment", recipe.environment
        yield "verifier", recipe.verifier
        yield from ((f"filters.{i}", bound) for i, bound in enumerate(recipe.filters))
        yield "buffer", recipe.buffer
        yield from recipe.slots.items()
        yield from ((f"loggers.{i}", bound) for i, bound in enumerate(recipe.loggers))
    elif isinstance(recipe, Suite):
        yield "problems.source", recipe.problems.source
        yield "environment", recipe.environment
        yield "verifier", recipe.verifier
    elif isinstance(recipe, SftRecipe):
        yield "problems.source", recipe.problems.source


def _flat(value: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{index}")
    else:
        yield path, value


def _short(value: object) -> str:
    text = dump_inline(to_plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _origin(path: str, loaded: Loaded) -> str:
    source = loaded.source(path)
    return source.where if source.kind != "default" else "default"
