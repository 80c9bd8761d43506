"""Where a run came from: its resolved recipe, the code's revision, the packages' versions."""

import contextlib
import importlib.metadata
import json
import subprocess
from pathlib import Path

import yaml

from recipes.loading.recipe_tree import Loaded
from recipes.slots.registry import relative, to_plain
from recipes.slots.spec import JSON
from rewards.audit.provenance import Provenance
from trainer.recipe.config import Recipe


def write_origin(recipe: Recipe, loaded: Loaded, folder: Path, verifier: Provenance) -> None:
    """The resolved recipe, the code's revision and the packages' versions, beside the run."""
    folder.mkdir(parents=True, exist_ok=True)
    resolved = yaml.safe_dump(to_plain(recipe), sort_keys=False)
    (folder / "recipe.yaml").write_text(resolved)
    names = ("torch", "transformers", "trl", "deepspeed", "peft", "accelerate", "datasets", "vllm")
    packages = dict.fromkeys(names, "not installed")
    for name in names:
        for built in (f"{name}-cpu", name):  # the plain name counts where both are there
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                packages[name] = f"{built} {importlib.metadata.version(built)}"
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    facts: dict[str, JSON] = {
        "recipe": relative(str(loaded.root)),
        "revision": described.stdout.strip() or "unknown",
        "packages": packages,
        "verifier": {"hash": verifier.digest, **verifier.plain()},
    }
    (folder / "versions.json").write_text(json.dumps(facts, indent=2))
