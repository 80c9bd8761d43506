"""Replies kept by the hash of what was asked, in memory or in a SQLite file.

A reply that was paid for is not asked for again: identical responses of a group share one, also
while it is on its way, and a run that is killed and resumed meets the same judgements. The key
covers model, prompt version, messages and sampling; the address is left out, so that a model may
move. Nothing is evicted from a file: a judgement takes some hundred bytes.

    keep_answers_in(folder)      where answers go when a verifier names no folder of its own
    Answers.of("")               that place; in memory where none was given
"""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from rewards.background import background
from rewards.http.endpoint import EndpointFailed
from rewards.types import JSON

_MOST_IN_MEMORY = 100_000

_run_folder = ""


def keep_answers_in(folder: Path | None) -> None:
    """Keep the answers of this process's run in `folder`; None: in memory."""
    global _run_folder
    _run_folder = str(folder.absolute()) if folder else ""


def content_hash(content: Mapping[str, JSON]) -> str:
    """SHA-256 of the content as JSON with sorted keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Answers:
    """Key to reply; lives on the background loop, which is its only thread."""

    def __init__(self, folder: str) -> None:
        self._memory: dict[str, JSON] = {}
        self._file = Path(folder) / "answers.sqlite" if folder else None
        self._database: sqlite3.Connection | None = None
        self._on_the_way: dict[str, asyncio.Task[JSON]] = {}

    @classmethod
    def of(cls, folder: str) -> "Answers":
        """The one set of answers in this folder; '' for the run's."""
        place = folder or _run_folder
        return background().opened(cls, place, lambda: cls(place))

    async def reply(
        self, key: str, fetch: Callable[[], Coroutine[Any, Any, JSON]]
    ) -> tuple[JSON, bool]:
        """The kept reply, or what `fetch` brings, which is kept; and whether it was kept already.

        There is one fetch of a key at a time. A caller that is cancelled does not stop a fetch that
        others may wait for, and that is paid.
        """
        task = self._on_the_way.get(key)
        if task is None:
            kept = self._get(key)
            if kept is not None:
                return kept, True
            task = asyncio.create_task(self._fetch(key, fetch))
            self._on_the_way[key] = task
            task.add_done_callback(lambda done: self._arrived(key, done))
            return await asyncio.shield(task), False
        return await asyncio.shield(task), True

    async def _fetch(self, key: str, fetch: Callable[[], Coroutine[Any, Any, JSON]]) -> JSON:
        found = await fetch()
        self._put(key, found)
        return found

    def _arrived(self, key: str, task: "asyncio.Task[JSON]") -> None:
        del self._on_the_way[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else is to hear of it

    def _get(self, key: str) -> JSON:
        """The reply, or None; raises EndpointFailed when the file cannot be read."""
        if self._file is None:
            return self._memory.get(key)
        try:
            query = "SELECT reply FROM answers WHERE key = ?"
            row = self._opened(self._file).execute(query, [key]).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        return None if row is None else json.loads(row[0])

    def _put(self, key: str, reply: JSON) -> None:
        """Keep the reply; the first one stays."""
        if self._file is None:
            if len(self._memory) >= _MOST_IN_MEMORY:
                self._memory.pop(next(iter(self._memory)))
            self._memory.setdefault(key, reply)
            return
        try:
            with self._opened(self._file) as database:
                text = json.dumps(reply)
                database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", [key, text])
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    async def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()

    def _opened(self, file: Path) -> sqlite3.Connection:
        if self._database is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(file, timeout=30)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            table = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, reply TEXT NOT NULL)"
            database.execute(table)
            self._database = database
        return self._database

    def _unusable(self, error: Exception) -> EndpointFailed:
        return EndpointFailed(f"the kept answers in {self._file} cannot be used: {error}")
