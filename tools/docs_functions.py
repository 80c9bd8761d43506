"""The page of all slot functions: what each computes, its options, paper, source and recipes.

It names files, not lines: a slot module holds one function under its own name, so a line would
say nothing more, and any edit above it would make the page stale. `temper explain` prints both.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes.slots.registry import Registered
from tools.docs_recipes import recipe_files, set_here
from tools.docs_slots import SLOTS, Key, Slot, anchors, named
from tools.docs_words import Docstring, cell, default_words, markdown, type_words

HEAD = """\
<!-- written by `make docs`; edits here are lost -->

# Algorithms, function by function

Every function that a recipe can name, by slot. Letters: `T` packed tokens, `S` samples. An
algorithm is a recipe fragment that fills these slots; see [recipes.md](recipes.md). Options are the
function's keyword parameters, and the tables are read from its signature; "or a schedule" marks a
number that may change over the run. `temper explain RECIPE` shows the functions of one recipe with
file and line; [add-a-slot-function.md](add-a-slot-function.md) adds one.

| slot | functions |
|---|---|"""

# What every entry of a slot may carry besides the function's own options.
SLOT_OPTIONS = {
    "coef": "multiplies the term",
    "mask": "tokens that it is summed over: trained, sampled, or observed after the first action",
    "reduction": "weights of its tokens: those of the loss, or a mean of their own",
}


def functions_page(root: Path) -> str:
    """The whole page, as Markdown."""
    uses = _uses(root)
    parts = [HEAD, *(_overview(slot, root) for slot in SLOTS), ""]
    for slot in SLOTS:
        if entries := slot.entries(root):
            parts.append(f"## {slot.title}\n\n`{slot.signature}`\n")
            parts += [_section(entry, root, uses) for entry in entries]
    return "\n".join(parts).rstrip("\n") + "\n"


def _overview(slot: Slot, root: Path) -> str:
    known = anchors(root)
    names = [f"[{e.name}](#{known[e.slot, e.name]})" for e in slot.entries(root)]
    return f"| {slot.title} | {', '.join(names) or 'none'} |"


def _section(entry: Registered, root: Path, uses: Mapping[Key, Sequence[str]]) -> str:
    said = Docstring.of(entry.function)
    lines = [f"### {entry.name}", "", markdown(said.summary), ""]
    if said.body:
        lines += [markdown(said.body), ""]
    file = Path(entry.file).relative_to(root)
    test = Path("tests", file.parent, f"test_{file.name}")
    sources = [f"[{path}](../{path})" for path in (file, test) if (root / path).exists()]
    recipes = uses.get((entry.slot, entry.name), ())
    facts = {
        "Returns": markdown(said.returns),
        "Departures": markdown(said.departures),
        "Confidence": markdown(said.confidence),
        "Paper": entry.paper,
        "Needs": ", ".join(f"`{need}`" for need in entry.needs),
        "Recipes": ", ".join(f"[{name}](../recipes/{name}.yaml)" for name in recipes),
        "Source": ", ".join(sources),
    }
    lines += [f"- {label}: {fact}" for label, fact in facts.items() if fact]
    return "\n".join([*lines, "", *_options(entry)])


def _options(entry: Registered) -> list[str]:
    rows = [
        f"| `{name}` | {cell(type_words(option))} | {cell(default_words(option))} "
        f"| {cell(option.description or SLOT_OPTIONS.get(name, ''))} |"
        for name, option in entry.schema.model_fields.items()
    ]
    return ["| option | type | default | meaning |", "|---|---|---|---|", *rows, ""] if rows else []


def _uses(root: Path) -> dict[Key, list[str]]:
    """(slot, function) -> the fragments that fill a slot with it, and the recipes that name it."""
    found: dict[Key, list[str]] = {}
    for name in recipe_files(root):
        for key in sorted(set(named(set_here(root, name)))):
            found.setdefault(key, []).append(name)
    return found
