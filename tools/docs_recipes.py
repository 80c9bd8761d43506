"""The page of all recipes and fragments: purpose, parents, papers, machine, size."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from recipes.loading.recipe_tree import load
from recipes.loading.yaml_nodes import parse
from recipes.slots.spec import JSON
from tools.docs_slots import anchors, named
from tools.docs_words import markdown

FOLDERS = {
    "algorithms": "fragments: a published method's slots, filled as the paper fills them",
    "models": "fragments: a model, its number format and its context",
    "": "the quickstart",
    "smoke": "small enough for continuous integration",
    "lab": "paired experiments: two arms, seeds, and the claim they test",
}

EDITOR_LINE = "# yaml-language-server:"

HEAD = """\
<!-- written by `make docs`; edits here are lost -->

# Recipes

Every file below `recipes/`. A recipe runs with `temper train recipes/<name>.yaml`; a fragment is
extended by recipes. [recipes-format.md](recipes-format.md) says how they are written, and
[algorithms.md](algorithms.md) what every function in them does.
"""


def recipe_files(root: Path) -> list[str]:
    """Names of all recipes and fragments, `algorithms/grpo`: fragments first, then by folder."""
    folder = root / "recipes"
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml")]
    order = list(FOLDERS)
    places = {name: name.rpartition("/")[0] for name in names}

    def rank(name: str) -> tuple[int, str]:
        return (order.index(places[name]) if places[name] in order else len(order)), name

    return sorted(names, key=rank)


def set_here(root: Path, name: str) -> dict[str, JSON]:
    """The settings of one file; those of an algorithm together with what it extends."""
    path = root / "recipes" / f"{name}.yaml"
    if name.startswith("algorithms/"):
        return dict(load(path).tree)
    return dict(_raw(path))


def recipes_page(root: Path) -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    shown = ""
    for name in recipe_files(root):
        place = name.rpartition("/")[0]
        if place != shown or len(parts) == 1:
            about = FOLDERS.get(place)
            title = f"recipes/{place}" if place else "recipes"
            parts.append(f"## {title}\n" + (f"\n{about[0].upper()}{about[1:]}.\n" if about else ""))
            shown = place
        parts.append(_section(root, name))
    return "\n".join(parts).rstrip("\n") + "\n"


def _section(root: Path, name: str) -> str:
    path = root / "recipes" / f"{name}.yaml"
    raw, loaded = _raw(path), load(path)
    facts = {
        "File": f"[recipes/{name}.yaml](../recipes/{name}.yaml)",
        "Extends": ", ".join(
            f"[{other.removesuffix('.yaml')}](../recipes/{other})"
            for other in _texts(raw.get("extends"))
        ),
        "Papers": ", ".join(loaded.papers),
        "Fills": _filled(loaded.tree, root) if name.startswith("algorithms/") else "",
        "Machine": _machine(loaded.tree) if "problems" in loaded.tree else "",
        "Size": _size(loaded.tree),
    }
    prose, lines = _texts(raw.get("description")), [f"### {name}", ""]
    for is_command, block in groupby(_comments(path), lambda line: line.startswith("  ")):
        if is_command:
            lines += [markdown(" ".join(prose)), "", "```bash", *map(_outdented, block), "```", ""]
            prose = []
        else:
            prose += [" ".join(line.split()) for line in block]
    lines += [markdown(" ".join(prose)), ""] if prose else []
    return "\n".join([*lines, *(f"- {k}: {v}" for k, v in facts.items() if v), ""])


def _outdented(line: str) -> str:
    return line.removeprefix("  ")


def _raw(path: Path) -> Mapping[str, Any]:
    """The file alone, without what it extends."""
    tree: Mapping[str, Any] | None = parse(path.read_text("utf-8"), path.name, "recipe").plain()
    return tree or {}


def _filled(tree: Mapping[str, Any], root: Path) -> str:
    """The functions that an algorithm is made of."""
    known = anchors(root)
    keys = [key for key in named(tree) if key in known]
    return ", ".join(f"{key[0]} [{key[1]}](algorithms.md#{known[key]})" for key in keys)


def _texts(value: JSON) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _comments(path: Path) -> Iterator[str]:
    """The comment lines at the head of the file, around its `description:`, commands indented."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(EDITOR_LINE):
            continue
        if line.startswith("# "):
            yield line.removeprefix("# ")
        elif line and not line.startswith("description:"):
            return


def _machine(tree: Mapping[str, Any]) -> str:
    """What it needs, as far as the settings say."""
    engine = tree.get("engine", "hf")
    word = engine["name"] if isinstance(engine, Mapping) else engine
    model = tree["model"] if isinstance(tree.get("model"), Mapping) else {}
    sharding = tree.get("sharding", {})
    words = ["one process, with or without a GPU" if word == "hf" else f"GPU, engine {word}"]
    words += ["LoRA"] if model.get("lora") else []
    words += [f"ZeRO-{sharding['zero']} over several processes"] if sharding.get("zero") else []
    words += ["optimizer in CPU memory"] if sharding.get("offload") == "cpu" else []
    words += [str(model["dtype"])] if "dtype" in model else []
    return ", ".join(words)


def _size(tree: Mapping[str, Any]) -> str:
    """Steps, and what a step is made of, where the recipe says so."""
    if {"steps", "group_size", "groups_per_step"} <= tree.keys():
        return (
            f"{tree['steps']} steps of {tree['groups_per_step']} problems x "
            f"{tree['group_size']} samples"
        )
    if {"steps", "batch_size"} <= tree.keys():
        rows = "preference pairs" if "pairs" in tree else "demonstrations"
        return f"{tree['steps']} steps of {tree['batch_size']} {rows}"
    return ""
