"""Hashes of what a path holds: a file, or a model folder with its weights.

    hashes_of("runs/reward/model")     {"runs/reward/model/config.json": "1f0c...", ...}

Every byte counts: a model that was trained a little further differs in all of its weights, one with
another head in a few. Files are read side by side, and again only when size or time has changed. A
model of the hub is what its cache holds; one that was never fetched has no hash.
"""

import functools
import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recipes.errors import relative
from rewards.types import JSON

_LETTERS = 12  # of a hash that people compare
_READERS = 4
_SUFFIXES = frozenset(
    (".safetensors", ".bin", ".pt", ".pth", ".json", ".jsonl", ".txt", ".model", ".jinja", ".py")
)


def hash_of(values: Iterable[JSON]) -> str:
    """One hash of plain values, in their order."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:_LETTERS]


def hashes_of(path: str) -> dict[str, str]:
    """File to hash, of the file or of a folder's configuration and weights; empty without one."""
    place = Path(path).expanduser()
    place = place if place.exists() else _in_cache(path)
    inside = (file for file in place.glob("*") if file.is_file() and file.suffix in _SUFFIXES)
    files = [place] if place.is_file() else sorted(inside)
    facts = [file.stat() for file in files]
    sizes, times = [fact.st_size for fact in facts], [fact.st_mtime_ns for fact in facts]
    with ThreadPoolExecutor(_READERS) as readers:
        hashes = readers.map(_hash_of, files, sizes, times)
        return dict(zip([relative(str(file)) for file in files], hashes, strict=True))


def _in_cache(name: str) -> Path:
    """The snapshot of a hub model; a folder that is not there where it was not fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        found = None
    return Path(found).parent if isinstance(found, str) else Path(name)


@functools.cache
def _hash_of(file: Path, size: int, changed: int) -> str:
    """`size` and `changed` key the cache."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:_LETTERS]
