"""Which code and options gave a verdict: a hash that changes when they do, and what has changed.

The code of a verifier is its own file and everything of `rewards` that it imports, or names as the
target of a worker; of a plug-in, its file and what it imports of the same folder or package. It is
recorded by definition, not by file, so that code may move (`definitions.py`). Modules that only
carry a question to a verifier and the answer back do not count. Other packages count by their
version, the model of a judge by its name, a model in this process by its files. Options that cannot
change a verdict, such as deadlines and limits, do not count.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recipes.errors import relative
from recipes.slots.registry import SlotEntry, entries_of, to_plain
from recipes.slots.spec import HashFiles, NotHashed
from rewards.audit.definitions import (
    definitions,
    packages_of,
    plugin_files,
    verifier_files,
    whole_hash,
)
from rewards.audit.file_hashes import hashes_of
from rewards.plugins.functions import inspect_plugin
from rewards.types import JSON
from rewards.verifiers.plugin import specs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Everything that a verdict depends on."""

    options: JSON  # those that can change a verdict, nested entries included
    code: Mapping[str, tuple[str, ...]]  # definition -> hashes of all of that name
    packages: Mapping[str, str]  # name -> version
    files: Mapping[str, str]  # that options name, such as weights -> hash

    @property
    def digest(self) -> str:
        """One hash of all of it."""
        text = json.dumps(self.plain(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def plain(self) -> dict[str, JSON]:
        """As JSON, for a checkpoint."""
        return {
            "options": self.options,
            "code": {name: list(hashes) for name, hashes in sorted(self.code.items())},
            "packages": dict(self.packages),
            "files": dict(self.files),
        }


def provenance_of(bound: SlotEntry) -> Provenance:
    """Of a verifier and of those inside it."""
    plugged = _plugged_in(bound)
    own = {file for inner in entries_of(bound) for file in verifier_files(Path(inner.entry.file))}
    versions: dict[str, str] = {}
    for module in sorted(packages_of(own | plugged)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[module] = importlib.metadata.version(module.replace("_", "-"))
    return Provenance(
        options=_deciding(bound),
        code=definitions(sorted(own | plugged)),
        packages=versions,
        files={file: digest for path in _named(bound) for file, digest in hashes_of(path).items()},
    )


def changes(old: Mapping[str, JSON], bound: SlotEntry) -> tuple[list[str], str]:
    """What differs between a checkpoint's record and this verifier, in words; and what the record
    does not tell, empty when it tells everything.

    Older checkpoints name code by file: of those, the user's plug-ins are compared alone.
    """
    new = provenance_of(bound)
    found = list(_option_changes(old["options"], bound))
    unknown = ""
    if any(isinstance(hashes, str) for hashes in old["code"].values()):
        plugged = {relative(str(file)): whole_hash(file) for file in _plugged_in(bound)}
        found += _differences({k: v for k, v in old["code"].items() if k in plugged}, plugged)
        unknown = (
            "the checkpoint was saved by an older version, which names the code of verifiers by "
            f"file: its options, packages{', files and plug-ins' if plugged else ' and files'} are "
            "compared, temper's own code is not"
        )
    else:
        for name in sorted(old["code"].keys() | new.code.keys()):
            before: Counter[str] = Counter(old["code"].get(name, ()))
            after = Counter(new.code.get(name, ()))
            if before != after:
                was, now = (", ".join(side.elements()) for side in (before - after, after - before))
                found.append(
                    f"the code of {name} ({was or 'not used'} before, {now or 'not used'} now)"
                )
    found += _differences(old["packages"], new.packages, "package ")
    return found + _differences(old["files"], new.files), unknown


def _differences(old: Mapping[str, str], new: Mapping[str, str], noun: str = "") -> list[str]:
    return [
        f"{noun}{name} ({old.get(name, 'not used')} before, {new.get(name, 'not used')} now)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _option_changes(old: JSON, new: JSON, path: str = "") -> Iterator[str]:
    """Options that differ; one that the record does not know may have its default value."""
    inside = f"{path}." if path else ""
    match new:
        case SlotEntry() if not isinstance(old, dict) or old.get("name") != new.name:
            before = old.get("name") if isinstance(old, dict) else old
            yield f"option {path or 'name'} ({before!r} before, {new.name!r} now)"
        case SlotEntry() | BaseModel() if isinstance(old, dict):
            fields = {name: (inner, field) for name, inner, field in _fields(new)}
            for name, (inner, field) in fields.items():
                if _is_marked(field, NotHashed):
                    continue
                default = field.get_default(call_default_factory=True)
                yield from _option_changes(old.get(name, to_plain(default)), inner, inside + name)
            for name in sorted(old.keys() - fields.keys() - {"name"}):
                yield f"option {inside}{name} ({old[name]!r} before, it no longer exists)"
        case Mapping() if isinstance(old, dict):
            for name in sorted(old.keys() | new.keys()):
                if name in old and name in new:
                    yield from _option_changes(old[name], new[name], inside + name)
                else:
                    was, now = (
                        repr(side[name]) if name in side else "not set"
                        for side in (old, to_plain(new))
                    )
                    yield f"option {inside}{name} ({was} before, {now} now)"
        case list() | tuple() if isinstance(old, list) and len(old) == len(new):
            for number, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from _option_changes(before, after, f"{inside}{number}")
        case _ if old != to_plain(new):
            yield f"option {path} ({old!r} before, {to_plain(new)!r} now)"


def _plugged_in(bound: SlotEntry) -> set[Path]:
    """The files of the user's own functions."""
    files: set[Path] = set()
    for inner in entries_of(bound):
        if "plugin" in inner.entry.tags:
            for spec in specs_of(inner.options):
                found = inspect_plugin(spec, inner.options["environment"])
                files |= plugin_files(Path(found.file)) if found.file else set()
    return files


# -- options -------------------------------------------------------------------------------------


def _fields(value: SlotEntry | BaseModel) -> Iterator[tuple[str, JSON, FieldInfo]]:
    """Name, value and declaration of every option of an entry, or of every field of a section."""
    schema = value.entry.schema if isinstance(value, SlotEntry) else type(value)
    given = value.options if isinstance(value, SlotEntry) else dict(value)
    for name, inner in given.items():
        yield name, inner, schema.model_fields[name]


def _deciding(value: JSON) -> JSON:
    """As `to_plain`, without what cannot change a verdict."""
    match value:
        case SlotEntry() | BaseModel():
            known = {"name": value.name} if isinstance(value, SlotEntry) else {}
            return known | {
                name: _deciding(inner)
                for name, inner, field in _fields(value)
                if not _is_marked(field, NotHashed)
            }
        case Mapping():
            return {key: _deciding(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_deciding(inner) for inner in value]
        case _:
            return to_plain(value)


def _named(value: JSON) -> Iterator[str]:
    """Every path whose contents count."""
    match value:
        case SlotEntry() | BaseModel():
            for _, inner, field in _fields(value):
                if _is_marked(field, HashFiles):
                    yield inner
                else:
                    yield from _named(inner)
        case Mapping():
            for inner in value.values():
                yield from _named(inner)
        case list() | tuple():
            for inner in value:
                yield from _named(inner)


def _is_marked(field: FieldInfo, mark: type) -> bool:
    return any(isinstance(found, mark) for found in field.metadata)
