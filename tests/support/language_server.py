"""A client of yaml-language-server, which is what shows a recipe's mistakes in an editor."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv" / "yaml_language_server"
SERVER = FOLDER / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"


class LanguageServer:
    """One server process; files are opened one after the other."""

    def __init__(self, to: IO[bytes], of: IO[bytes]) -> None:
        self._to, self._of = to, of
        self._last = 0
        self._reply("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._send("initialized", {})
        settings = {"validate": True, "completion": True, "schemaStore": {"enable": False}}
        self._send("workspace/didChangeConfiguration", {"settings": {"yaml": settings}})

    def mistakes(self, file: Path, text: str) -> list[str]:
        """What the editor underlines where the file holds `text`."""
        self._open(file, text)
        while True:
            message = self._receive()
            if message.get("method") == "textDocument/publishDiagnostics":
                found = message["params"]
                if found["uri"] == file.as_uri():
                    return [one["message"] for one in found["diagnostics"]]

    def completions(self, file: Path, text: str, line: int, character: int) -> set[str]:
        """What the editor offers at a place."""
        self.mistakes(file, text)
        where = {"line": line, "character": character}
        about = {"textDocument": {"uri": file.as_uri()}, "position": where}
        return {item["label"] for item in self._reply("textDocument/completion", about)["items"]}

    def _open(self, file: Path, text: str) -> None:
        self._last += 1
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": self._last, "text": text}
        self._send("textDocument/didOpen", {"textDocument": document})

    def _reply(self, method: str, params: object) -> Any:
        self._last += 1
        number = self._last
        self._send(method, params, id=number)
        while (message := self._receive()).get("id") != number or "method" in message:
            pass
        return message["result"]

    def _send(self, method: str, params: object, **more: object) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        body = json.dumps(message).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._to.flush()

    def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := self._of.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._of.read(length))
        return message


@contextmanager
def language_server() -> Iterator[LanguageServer]:
    if not SERVER.is_file():
        pytest.skip("yaml-language-server is not installed")
    process = subprocess.Popen(
        ["node", str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield LanguageServer(process.stdin, process.stdout)
        finally:
            process.kill()
