"""A reward model in this process: concurrent questions are collected into batches.

    score() --item--> queue --> thread: waits for an item, then `max_wait_s` for each one more,
      ^                           |      runs a batch of at most `batch_size`
      +----- future of the item <-+

The model is loaded by whoever asks for the host first, before any thread runs. A result that is
not there within `deadline_s` is missing; the thread goes on with its batch.

Batches depend on what happens to arrive together, and float arithmetic on the shape of a batch, so
rewards may differ in their last digits between two runs; `batch_size: 1` makes them equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from recipes.errors import RecipeError
from recipes.slots.spec import Count, Duration, HashFiles, NotHashed, Seconds, Spec, Tokens
from rewards.types import Message
from trainer.reward_models.conversation import conversation_ids, refuse_without_template

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LocalModelSpec(Spec):
    """A sequence classifier with one output, loaded into this process."""

    path: Annotated[
        str, HashFiles(), Field(min_length=1, description="Model folder, or `owner/name` on a hub")
    ]
    dtype: Annotated[Literal["float32", "bfloat16"], Field(description="Weight dtype")] = "float32"
    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="Device; auto: a GPU if there is one"
        ),
    ] = "auto"
    batch_size: Annotated[
        Count,
        Field(gt=0, description="Number of conversations in one pass; 1 = bitwise reproducible"),
    ] = 8
    max_wait_s: Annotated[
        Seconds,
        NotHashed(),
        Field(description="Longest wait of an incomplete batch for another request, in seconds"),
    ] = 0.01
    max_length: Annotated[
        Tokens,
        Field(gt=0, description="Maximum tokens of task and response; longer ones are missing"),
    ] = 4096
    deadline_s: Annotated[
        Duration,
        Field(description="Time limit of one reward in seconds, time in the queue included"),
    ] = 300.0
    plain: Annotated[
        bool, Field(description="Whether to skip the chat template and use the texts alone")
    ] = False
    trust_remote_code: Annotated[
        bool, Field(description="Whether to run Python code that comes with the model")
    ] = False


class Unscored(Exception):
    """No reward for this conversation; says why."""

    def __init__(self, words: str, *, too_long: bool = False) -> None:
        super().__init__(words)
        self.too_long = too_long


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardOutput:
    """What the model makes of one conversation."""

    reward: float
    embedding: torch.Tensor | None  # [d] float32 on the CPU, what the head reads; if asked for


@dataclass(eq=False)
class _Item:
    ids: list[int]
    embed: bool
    future: Future[RewardOutput] = field(default_factory=Future)


class RewardHost:
    """One loaded model and the thread that runs it."""

    def __init__(self, spec: LocalModelSpec) -> None:
        self.spec = spec
        self.model, self.tokenizer = load_reward_model(spec)
        positions = self.model.config.get_text_config().to_dict().get("max_position_embeddings")
        self.longest = min(spec.max_length, positions or spec.max_length)  # in tokens
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="reward-model", daemon=True)
        self._thread.start()

    async def score(
        self, prompt: Sequence[Message], response: str, *, embed: bool = False
    ) -> RewardOutput:
        """The reward of one conversation; raises Unscored."""
        future = asyncio.wrap_future(self._asked(prompt, response, embed))
        try:
            return await asyncio.wait_for(future, self.spec.deadline_s)
        except TimeoutError:
            raise Unscored(f"no reward within {self.spec.deadline_s:g} s") from None

    def score_all(
        self, asked: Sequence[tuple[Sequence[Message], str]], *, embed: bool = False
    ) -> list[RewardOutput]:
        """The same for callers without an event loop; waits in this thread, without a deadline."""
        futures = [self._asked(prompt, response, embed) for prompt, response in asked]
        return [future.result() for future in futures]

    def _asked(self, prompt: Sequence[Message], response: str, embed: bool) -> Future[RewardOutput]:
        ids = conversation_ids(self.tokenizer, prompt, response, plain=self.spec.plain)
        if len(ids) > self.longest:
            words = f"{len(ids)} tokens, and the reward model reads at most {self.longest}"
            raise Unscored(words, too_long=True)
        item = _Item(ids, embed)
        self._queue.put(item)
        return item.future

    def _serve(self) -> None:
        while True:
            items = [self._queue.get()]
            with contextlib.suppress(queue.Empty):  # those that follow it within `max_wait_s`
                while len(items) < self.spec.batch_size:
                    items.append(self._queue.get(timeout=self.spec.max_wait_s))
            batch = [item for item in items if item.future.set_running_or_notify_cancel()]
            if not batch:
                continue
            try:
                found = classify(
                    self.model, [item.ids for item in batch], embed=any(i.embed for i in batch)
                )
            except Exception as error:  # out of memory, mostly: its samples are missing, counted
                for item in batch:
                    item.future.set_exception(Unscored(f"{type(error).__name__}: {error}"))
                continue
            for item, scored in zip(batch, found, strict=True):
                item.future.set_result(scored)


_lock = threading.Lock()
_hosts: dict[LocalModelSpec, RewardHost] = {}


def reward_host(spec: LocalModelSpec) -> RewardHost:
    """The one host with these settings; the first call loads the model. Raises RecipeError."""
    with _lock:
        if spec not in _hosts:
            _hosts[spec] = RewardHost(spec)
        return _hosts[spec]


def load_reward_model(spec: LocalModelSpec) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in evaluation mode on its device, and its tokenizer. Raises RecipeError."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    trust = {"trust_remote_code": spec.trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(spec.path, **trust)
        names = config.architectures or []
        if config.num_labels != 1 or not any("Classification" in name for name in names):
            raise RecipeError.of(
                f"{spec.path} is not a reward model: {', '.join(names) or 'no architecture'} with "
                f"{config.num_labels} labels",
                path="local.path",
                fix="name a sequence classifier with one output; `temper reward` trains one",
            )
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(spec.path, **trust)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            spec.path, dtype=spec.dtype, **trust
        )
    except RecipeError:
        raise
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n", 1)[0]
        there = "" if Path(spec.path).exists() else " (no such folder here)"
        raise RecipeError.of(
            f"the reward model {spec.path}{there} cannot be loaded: {first}",
            path="local.path",
            fix="name a folder that save_pretrained wrote, or a model on the hub",
        ) from error
    refuse_without_template(tokenizer, spec.path, plain=spec.plain)
    device = spec.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), tokenizer


def classify(
    model: PreTrainedModel, sequences: Sequence[Sequence[int]], *, embed: bool
) -> list[RewardOutput]:
    """Rewards of id sequences in one padded pass; with `embed` also what the head reads.

    The sequence is read at its last token that is not the pad token, as in training. A model
    without a pad token reads one sequence at a time, at its last token.
    """
    pad = model.config.get_text_config().pad_token_id
    if pad is None and len(sequences) > 1:
        return [found for ids in sequences for found in classify(model, [ids], embed=embed)]
    longest = max(len(ids) for ids in sequences)
    rows = [[*ids, *[pad] * (longest - len(ids))] for ids in sequences]
    masks = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences]
    ids = torch.tensor(rows, device=model.device)
    seen: list[torch.Tensor] = []
    hook = None
    if embed:
        hook = model.score.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        mask = torch.tensor(masks, device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits.float()
    finally:
        if hook is not None:
            hook.remove()
    rewards = logits.reshape(len(rows), -1)[:, 0].tolist()
    if not embed:
        return [RewardOutput(reward=reward, embedding=None) for reward in rewards]
    [hidden] = seen
    kept = torch.ones_like(ids) if pad is None else ids != pad
    places = (torch.arange(longest, device=ids.device) * kept).argmax(dim=-1)
    pooled = hidden[torch.arange(len(rows), device=ids.device), places].float().cpu()
    return [
        RewardOutput(reward=r, embedding=e.clone()) for r, e in zip(rewards, pooled, strict=True)
    ]
