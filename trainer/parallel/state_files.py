"""Files of a checkpoint: hashed while they are written, read without running code.

`torch.save` writes pickles, and a pickle can name any function to call. Reading with
`weights_only=True` builds tensors and plain containers and refuses everything else, so all state
goes through `read_state`.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

_LARGE = 2**20  # bytes from which a second thread is worth its start


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeal:
    """What a file must be when it is read again."""

    size: int  # bytes
    sha256: str


Seals = dict[Path, FileSeal]  # by path, as written


def write_state(state: object, path: Path) -> FileSeal:
    """Write plain state to `path` and push it to the disk. Raises OSError.

    Large pieces are hashed in a thread while they are written.
    """
    with path.open("wb") as file, ThreadPoolExecutor(1) as thread:
        writer = _HashingWriter(file, thread)
        try:
            torch.save(state, writer)  # type: ignore[arg-type]  # it writes and flushes only
        except RuntimeError:
            if writer.failure is not None:  # torch reports a full disk as a wrong position
                raise writer.failure from None
            raise
        file.flush()
        os.fsync(file.fileno())
    return FileSeal(size=writer.size, sha256=writer.hash.hexdigest())


def read_state(path: Path, device: torch.device | str = "cpu") -> Any:
    """What `write_state` wrote; refuses whatever is not a tensor or a plain container."""
    return torch.load(path, map_location=device, weights_only=True)


def seal_file(path: Path) -> FileSeal:
    """The seal of a file that is there."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileSeal(size=os.fstat(file.fileno()).st_size, sha256=digest)


class _HashingWriter:
    """The part of a binary file that `torch.save` uses."""

    def __init__(self, file: IO[bytes], thread: ThreadPoolExecutor) -> None:
        self._file = file
        self._thread = thread
        self.hash = hashlib.sha256()
        self.size = 0
        self.failure: OSError | None = None

    def write(self, data: memoryview | bytes) -> int:
        self.size += len(data)
        try:
            if len(data) < _LARGE:
                self.hash.update(data)
                return self._file.write(data)
            hashing = self._thread.submit(self.hash.update, data)
            try:
                return self._file.write(data)
            finally:
                hashing.result()  # the memory is torch's, and only here until this returns
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self._file.flush()
