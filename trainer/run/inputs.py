"""Inputs of a run that are not in its recipe, by fingerprint; a resume with others is refused.

    problems     the rows, whatever file or task they come from
    model, tokenizer, critic, teacher      the files of a folder; of the base model also the KL
                 reference is made
    evaluate     each suite: its settings and its rows

The verifier has a fingerprint that says more, see `rewards.audit.provenance`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes.errors import Fault, RecipeError
from recipes.slots.registry import to_plain
from recipes.slots.spec import JSON
from rewards.audit.file_hashes import hash_of, hashes_of
from rewards.types import Problem
from rollout.serialize import problem_to_dict
from trainer.models.folder import model_folder
from trainer.recipe.config import Recipe

Fingerprints = Mapping[str, Mapping[str, str]]  # by input: part -> hash
_TOKENIZER = ("token", "vocab", "merges", "chat_template", "spiece", "special")
_MOST = 3  # changed parts that a message names


def fingerprints(
    recipe: Recipe, problems: Sequence[Problem], suites: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Of every input; `suites` has those of the evaluations."""
    base = _files(model_folder(recipe.model))
    found = {
        "problems": {"rows": hash_of(map(problem_to_dict, problems))},
        "model": {name: value for name, value in base.items() if not _of_tokenizer(name)},
        "tokenizer": {name: value for name, value in base.items() if _of_tokenizer(name)},
        "evaluate": dict(suites),
    }
    others = {
        "critic": recipe.critic.path if recipe.critic is not None else None,
        **{name: spec.path for name, spec in recipe.fixed_models.items()},
    }
    for name, path in others.items():
        if path is not None:
            folder = model_folder(recipe.model.model_copy(update={"path": path}))
            found[name] = _files(folder)
    return found


def _files(folder: Path) -> dict[str, str]:
    return {Path(name).name: digest for name, digest in hashes_of(str(folder)).items()}


def _of_tokenizer(name: str) -> bool:
    return any(word in name for word in _TOKENIZER)


def refuse_other_inputs(recipe: Recipe, saved: Mapping[str, JSON], now: Fingerprints) -> str:
    """What has changed since the checkpoint, where the recipe allows it; empty when nothing has.

    saved: the recipe and the inputs of the checkpoint. An evaluation that the recipe itself names
    otherwise than before was changed on purpose. Raises RecipeError for every other change.
    """
    changed: dict[str, list[str]] = {}
    for name, parts in now.items():
        if name == "evaluate" and saved["recipe"][name] != to_plain(recipe)[name]:
            continue
        before = saved["inputs"].get(name, {})
        known = before.keys() & parts.keys() if name == "evaluate" else before.keys() | parts.keys()
        others = sorted(part for part in known if before.get(part) != parts.get(part))
        if others:
            changed[name] = others
    faults = [
        Fault(
            path=name,
            what=f"{_words(name, parts)} changed since the checkpoint was saved",
            fix=f"bring back what the run began with, or accept the break with "
            f"--set 'limits.allow_change=[{name}]'",
        )
        for name, parts in changed.items()
        if name not in recipe.limits.allow_change
    ]
    if faults:
        raise RecipeError(faults)
    return "; ".join(f"{_words(name, parts)} changed" for name, parts in changed.items())


def _words(name: str, parts: Sequence[str]) -> str:
    if name == "problems":
        return "the rows that problems.source gives"
    if name == "evaluate":
        return f"the suite {', '.join(parts)} (its settings or its rows)"
    more = f" and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return f"the {name}'s files ({', '.join(parts[:_MOST])}{more})"
