"""`temper explain`, `temper check` and the recipe's JSON Schema: what a recipe means, in full."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recipes.loading.load import Loaded, with_source_location
from recipes.slots.registry import Registered, SlotEntry, function_of, relative, tags_of, to_plain
from recipes.slots.spec import JSON
from rewards.audit.preflight import preflight_verifier
from rewards.types import Problem
from rollout.problems import load_problems
from trainer.recipe.check import load_recipe, notes
from trainer.recipe.config import Recipe


def check_recipe(name: str, overrides: Sequence[str], console: Console) -> None:
    """Check the recipe, then score one sample of its data where that needs no network."""
    recipe, loaded = load_recipe(name, overrides)
    console.print(f"{relative(str(loaded.root))}: ok")
    console.print(arithmetic(recipe))
    for note in notes(recipe):
        console.print(f"note: {note}")
    if "model" in tags_of(recipe.verifier):
        console.print("one sample scored: skipped, the verifier asks a model")
        return
    verifier, gold = function_of(recipe.verifier), recipe.problems.gold_response
    if recipe.problems.is_local:
        with with_source_location(loaded, "problems"):
            problems = load_problems(recipe.problems, recipe.verifier)
        tried = preflight_verifier(verifier, recipe.verifier.name, problems, gold)
    else:  # the data is elsewhere; the verifier can still show that it works, or what it lacks
        problems = [Problem(id="a made-up problem", messages=(), answer="42")]
        tried = preflight_verifier(verifier, recipe.verifier.name, problems, gold, refuse=False)
    problem, verdict = problems[0], asyncio.run(tried)[0]
    said = "missing" if verdict.is_missing else f"reward {verdict.reward:g}"
    response = gold.replace("{answer}", problem.answer)
    console.print(
        f"one sample scored: {problem.id}, answered with {response!r}: {said} ({verdict.reason})"
    )


def arithmetic(recipe: Recipe) -> str:
    """The batch in words: nobody has to guess which number counts what."""
    updates = min(recipe.minibatches, recipe.groups_per_step)
    per_update = recipe.samples_per_step // updates
    return (
        f"each step: {recipe.groups_per_step} problems x {recipe.group_size} samples = "
        f"{recipe.samples_per_step} samples, {updates} optimizer update(s) of about "
        f"{per_update} samples, at most {recipe.max_tokens_per_microbatch} tokens in one pass; "
        f"{recipe.steps} steps = {recipe.steps * recipe.samples_per_step} trained samples"
    )


def explain_recipe(name: str, overrides: Sequence[str], console: Console) -> None:
    """Print the pipeline, then every setting with the place that set it."""
    recipe, loaded = load_recipe(name, overrides)
    console.print(Text(f"{relative(str(loaded.root))} resolves to", style="bold"))
    console.print(arithmetic(recipe))
    for note in notes(recipe):
        console.print(f"note: {note}")
    for link in loaded.papers:
        console.print(f"paper: {link}")
    for path, bound in pipeline(recipe):
        console.print(_block(path, bound.entry, loaded, bound))
    for path, bound in recipe.slots.schedules():
        console.print(_block(path, bound.entry, loaded, bound))
    console.print(_settings(recipe, loaded))


def pipeline(recipe: Recipe) -> Iterator[tuple[str, SlotEntry]]:
    """Every filled slot in the order a sample meets it."""
    yield "problems.source", recipe.problems.source
    yield "sampler", recipe.sampler
    yield "engine", recipe.engine
    yield "environment", recipe.environment
    yield "verifier", recipe.verifier
    yield from ((f"filters.{i}", bound) for i, bound in enumerate(recipe.filters))
    yield "buffer", recipe.buffer
    yield from recipe.slots.items()
    yield from ((f"loggers.{i}", bound) for i, bound in enumerate(recipe.loggers))


def _block(path: str, entry: Registered, loaded: Loaded, bound: SlotEntry) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    place = f"{relative(entry.file)}:{entry.line}"
    table.add_row(Text(path, style="bold"), Text(entry.name, style="bold cyan"), place)
    table.add_row("", entry.summary, "")
    if entry.paper:
        table.add_row("", entry.paper, "")
    for option, value in bound.options.items():
        table.add_row("", f"{option} = {_short(value)}", _origin(f"{path}.{option}", loaded))
    return table


def _settings(recipe: Recipe, loaded: Loaded) -> Table:
    table = Table(box=None, title="settings", title_justify="left", padding=(0, 2, 0, 0))
    for heading in ("setting", "value", "set by"):
        table.add_column(heading)
    slots = {path.split(".")[0] for path, _ in pipeline(recipe)} - {"problems"}
    for path, value in _flat(recipe.model_dump(mode="json"), ""):
        if path.split(".")[0] not in slots and not path.startswith("problems.source"):
            table.add_row(path, _short(value), _origin(path, loaded))
    return table


def _flat(value: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{index}")
    else:
        yield path, value


def _short(value: Any) -> str:
    text = str(to_plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _origin(path: str, loaded: Loaded) -> str:
    source = loaded.source(path)
    return source.where if source.kind != "default" else "default"


def recipe_schema() -> dict[str, JSON]:
    """JSON Schema of a recipe; slots list their functions with all options."""
    return Recipe.model_json_schema()
