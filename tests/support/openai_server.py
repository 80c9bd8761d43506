"""A real HTTP server that speaks the OpenAI chat protocol and says what a test scripts.

with serve(lambda request: "a grade: 7") as server:      a text, or an Answer with more
    ... server.url, server.requests

Answer(status=429, headers={"Retry-After": "0"})         a failure
Answer("Verdict: yes", delay_s=0.2)                      a slow answer
Answer("Verdict: yes", tokens=[("yes", {"no": -1.2})])   with log-probs of its last tokens
Answer(raw=b"not json")                                  whatever bytes
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the client sent; `number` counts from 0."""

    number: int
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, str]]:
        return self.body["messages"]


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    finish: str = "stop"
    tokens: Sequence[tuple[str, Mapping[str, float]]] = ()  # token, then others' log-probs
    usage: tuple[int, int] | None = (10, 5)
    raw: bytes | None = None

    def payload(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": self.text, "code": self.status}}).encode()
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self.text},
            "finish_reason": self.finish,
        }
        if self.tokens:
            choice["logprobs"] = {"content": [_spelt(t, others) for t, others in self.tokens]}
        reply: dict[str, Any] = {"object": "chat.completion", "choices": [choice]}
        if self.usage:
            reply["usage"] = dict(
                zip(("prompt_tokens", "completion_tokens"), self.usage, strict=True)
            )
        return json.dumps(reply).encode()


def _spelt(token: str, others: Mapping[str, float]) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob} for text, logprob in others.items()]
    return {"token": token, "logprob": others.get(token, -0.1), "top_logprobs": top}


Script = Callable[[Request], Answer | str]


@dataclass(kw_only=True)
class Server:
    """A running server."""

    url: str
    requests: list[Request] = field(default_factory=list)
    most_at_once: int = 0


@contextmanager
def serve(script: Script) -> Iterator[Server]:
    """Serve on a free port of this machine until the block ends."""
    server = Server(url="")
    lock = threading.Lock()
    under_way = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal under_way
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                under_way += 1
                server.most_at_once = max(server.most_at_once, under_way)
                request = Request(
                    number=len(server.requests), path=self.path, headers=headers, body=body
                )
                server.requests.append(request)
            try:
                said = script(request)
                answer = Answer(said) if isinstance(said, str) else said
                time.sleep(answer.delay_s)
                self._say(answer)
            finally:
                with lock:
                    under_way -= 1

        def _say(self, answer: Answer) -> None:
            payload = answer.payload()
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client gave up, which is what a test of a slow server wants

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
