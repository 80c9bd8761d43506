"""One question to an OpenAI-compatible chat endpoint, answered from what is kept where it can be.

ask(endpoint, question, meter=..., cache=...)
    kept, or asked right now by somebody else  -> that reply, free
    otherwise  -> POST /chat/completions, keep the reply, count its tokens
pooled_score(endpoint, route, messages, meter=...)
    a number from a vLLM pooling server, never kept
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from recipes.slots.spec import JSON, Seed, Spec, Temperature, Tokens
from rewards.background import background
from rewards.http.endpoint import Endpoint, EndpointFailed, EndpointSpec
from rewards.http.reply_cache import Answers, content_hash
from rewards.http.usage import meters
from rewards.types import Message

_TAIL = 48  # tokens whose alternatives are kept: a final word is near the end
_ALTERNATIVES = 20  # the most that the protocol allows


class AskSpec(Spec):
    """How a model's words are drawn when it is asked to judge."""

    temperature: Annotated[
        Temperature, Field(description="Softmax temperature; 0 = greedy decoding")
    ] = 0.0
    max_tokens: Annotated[
        Tokens, Field(gt=0, description="Maximum number of new tokens per answer")
    ] = 1024
    seed: Annotated[
        Seed, Field(description="Seed of the first attempt; each further attempt adds 1")
    ] = 0
    extra: Annotated[
        dict[str, JSON],
        Field(description="Additional keys of the request body; null removes a default key"),
    ] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One sampled token with the likeliest alternatives to it."""

    text: str
    alternatives: dict[str, float]  # text -> log-probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said."""

    text: str  # without the model's thinking
    finish: str  # "stop", or "length" when it was cut off
    tail: tuple[Token, ...] = ()  # its last tokens; empty when the server gives no log-probs


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that the reply depends on, except the model."""

    messages: tuple[Message, ...]
    prompt: str  # name and version of the template that wrote them
    ask: AskSpec
    response_format: JSON = None
    logprobs: bool = False
    number: int = 0  # of the try or the vote; another number is another question

    def body(self, model: str) -> dict[str, JSON]:
        """The request."""
        body: dict[str, JSON] = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "temperature": self.ask.temperature,
            "max_tokens": self.ask.max_tokens,
            "seed": self.ask.seed + self.number,
        }
        if self.response_format is not None:
            body["response_format"] = self.response_format
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        body |= self.ask.extra
        return {key: value for key, value in body.items() if value is not None}


async def ask(endpoint: EndpointSpec, question: Question, *, meter: str, cache: str) -> Reply:
    """The model's reply; raises EndpointFailed. `cache` is a folder, '' for the run's."""
    return await background().run(_answered(endpoint, question, meter, cache))


async def _answered(spec: EndpointSpec, question: Question, meter: str, cache: str) -> Reply:
    body = question.body(spec.model)
    key = content_hash({"prompt": question.prompt, "number": question.number, **body})
    fetch = functools.partial(_fetched, spec, body, meter)
    reply, was_kept = await Answers.of(cache).reply(key, fetch)
    meters.add(f"{meter}/questions")
    meters.observe(f"{meter}/kept_frac", float(was_kept))
    return _reply_of(reply)


async def _fetched(spec: EndpointSpec, body: JSON, meter: str) -> JSON:
    """The part of the server's reply that is kept; its tokens and their price are counted."""
    raw = await Endpoint.of(spec).post("/chat/completions", body, meter=meter)
    usage = raw.get("usage") if isinstance(raw, dict) else None
    counts = usage if isinstance(usage, dict) else {}
    for name, key, price in (
        ("tokens_in", "prompt_tokens", spec.price_in),
        ("tokens_out", "completion_tokens", spec.price_out),
    ):
        count = counts.get(key)
        if isinstance(count, int):
            meters.add(f"{meter}/{name}", count)
            if price:
                meters.add(f"{meter}/cost", count * price / 1e6)
    try:
        choice = raw["choices"][0]
        words = choice["message"].get("content") or ""
        spelt = ((choice.get("logprobs") or {}).get("content") or [])[-_TAIL:]
        return {
            "text": _said(str(words)),
            "finish": str(choice.get("finish_reason")),
            "tail": [[t["token"], {a["token"]: a["logprob"] for a in _all(t)}] for t in spelt],
        }
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EndpointFailed(
            f"{spec.url}: a reply that is not a chat completion ({type(error).__name__}: {error})"
        ) from error


def _all(token: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a token, itself among them."""
    return [*(token.get("top_logprobs") or []), token]


def _said(words: str) -> str:
    """What follows the thinking, whose opening tag may have been part of the prompt."""
    after = words.rpartition("</think>")[2]
    return after.partition("<think>")[0].strip()


def _reply_of(kept: dict[str, Any]) -> Reply:
    return Reply(
        text=kept["text"],
        finish=kept["finish"],
        tail=tuple(Token(text=text, alternatives=others) for text, others in kept["tail"]),
    )


# -- a number instead of words -------------------------------------------------------------------


async def pooled_score(
    endpoint: EndpointSpec, route: str, messages: Sequence[dict[str, str]], *, meter: str
) -> float:
    """The raw output of a model with one label; raises EndpointFailed.

    `/classify` wants a model served with one label. `/pooling` also serves models that give a
    number for each step or token; the last one counts.
    """
    return await background().run(_asked(endpoint, route, messages, meter))


async def _asked(
    endpoint: EndpointSpec, route: str, messages: Sequence[dict[str, str]], meter: str
) -> float:
    body = {"model": endpoint.model, "messages": list(messages), "use_activation": False}
    raw = await Endpoint.of(endpoint).post(f"/{route}", body, meter=meter)
    try:
        [entry] = raw["data"]
        numbers: JSON = entry["probs"] if route == "classify" else entry["data"]
        while isinstance(numbers[-1], list):
            numbers = numbers[-1]
        [number] = numbers
        return float(number)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EndpointFailed(
            f"{endpoint.url}/{route}: a reply without one number for the conversation "
            f"({type(error).__name__}: {error}); is it a reward model with one label?"
        ) from error
