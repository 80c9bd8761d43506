"""Messages to token ids and back. Ids are the truth: they are never made from text twice."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from rewards.types import Message
from rollout.types import EnvError


class Renderer(Protocol):
    """What the rollout side needs of a tokenizer."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The chat template's ids up to where the assistant starts to speak."""
        ...

    def text(self, token_ids: Sequence[int]) -> str:
        """Decoded text of sampled ids, special tokens left out."""
        ...


Tokenizer = Any  # a transformers tokenizer; transformers ships no types

_MARK = "temper"  # a reply that no template changes; shows what a template writes after it


class ChatRenderer:
    """A Renderer made of a transformers tokenizer and its chat template.

    plain: for base models without a template: the prompt is the messages' text alone, joined by
        blank lines, with the tokenizer's own begin token
    template_options: names the template itself reads, such as `enable_thinking`
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        plain: bool = False,
        template_options: Mapping[str, JSON] | None = None,
    ) -> None:
        if not plain and not tokenizer.chat_template:
            raise RecipeError.of(
                f"the tokenizer of {tokenizer.name_or_path or 'this model'} has no chat template",
                fix="use a chat model, add a chat_template to the model folder, or set "
                "`plain: true` to prompt a base model with the bare text",
            )
        self._tokenizer = tokenizer
        self._plain = plain
        self._options = dict(template_options or {})
        self._stop_ids = self._find_stop_ids()

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end a reply: the end token, and the one that the template closes a turn with."""
        return self._stop_ids

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids that the policy continues."""
        if self._plain:
            text = "\n\n".join(message.content for message in messages)
            ids = self._tokenizer(text)["input_ids"]
        else:
            ids = self._tokenizer.apply_chat_template(
                _as_dicts(messages),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                **self._options,
            )
        return [int(i) for i in ids]

    def text(self, token_ids: Sequence[int]) -> str:
        """Decoded text of sampled ids, special tokens left out."""
        ids = [int(i) for i in token_ids]
        decoded: str = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded

    def _find_stop_ids(self) -> tuple[int, ...]:
        end = self._tokenizer.eos_token_id
        found = [] if end is None else [int(end)]
        if not self._plain:
            turn = [Message(role="user", content=_MARK), Message(role="assistant", content=_MARK)]
            closed: str = self._tokenizer.apply_chat_template(
                _as_dicts(turn), tokenize=False, **self._options
            )
            after = closed.rpartition(_MARK)[2].strip()
            known = {*self._tokenizer.all_special_tokens, *self._tokenizer.get_added_vocab()}
            closing = [token for token in known if after.startswith(token)]
            if closing:
                longest = max(closing, key=len)
                found.append(int(self._tokenizer.convert_tokens_to_ids(longest)))
        if not found:
            raise RecipeError.of(
                f"the tokenizer of {self._tokenizer.name_or_path or 'this model'} has no end token",
                fix="set eos_token in its tokenizer_config.json, or no completion would ever end",
            )
        return tuple(dict.fromkeys(found))


def check_extends(previous_ids: Sequence[int], next_ids: Sequence[int]) -> None:
    """Raise EnvError unless the next turn's ids begin with all ids of the previous one.

    Templates that rewrite history (dropping the reasoning of earlier turns) break this, and with
    it every log-prob of the turns before.
    """
    if list(next_ids[: len(previous_ids)]) == list(previous_ids):
        return
    pairs = zip(previous_ids, next_ids, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), len(next_ids))
    raise EnvError(
        f"turn does not extend the one before: the {len(previous_ids)} ids of the previous turn "
        f"and the {len(next_ids)} of this one differ from position {shared}; "
        "the chat template rewrites earlier turns (for example removes their reasoning)"
    )


def _as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
