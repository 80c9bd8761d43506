"""Messages to token ids and back. Ids are the truth: they are never made from text twice."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from recipes.errors import RecipeError
from recipes.slots.spec import JSON
from rewards.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Renderer(Protocol):
    """What the rollout side needs of a tokenizer."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The chat template's ids up to where the assistant starts to speak."""
        ...

    def text(self, token_ids: Sequence[int]) -> str:
        """Decoded text of sampled ids, special tokens left out."""
        ...


_MARK = "temper"  # a reply that no template changes; shows what a template writes after it


class ChatRenderer:
    """A Renderer made of a transformers tokenizer and its chat template.

    plain: for base models without a template: the prompt is the messages' text alone, joined by
        blank lines, with the tokenizer's own begin token
    template_options: names the template itself reads, such as `enable_thinking`
    stop_ids: ids that end a reply: the end token, and the one that the template closes a turn with
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        plain: bool = False,
        template_options: Mapping[str, JSON] | None = None,
    ) -> None:
        if not plain and not tokenizer.chat_template:
            raise RecipeError.of(
                f"the tokenizer of {tokenizer.name_or_path or 'this model'} has no chat template",
                fix="use a chat model, add a chat_template to the model folder, or set "
                "`model.plain: true` to prompt a base model with the bare text",
            )
        self._tokenizer = tokenizer
        self._plain = plain
        self._options = dict(template_options or {})
        end = tokenizer.eos_token_id
        stop_ids = [] if end is None else [int(end)]
        if not plain:
            turn = [Message(role="user", content=_MARK), Message(role="assistant", content=_MARK)]
            closed: str = tokenizer.apply_chat_template(
                _as_dicts(turn), tokenize=False, **self._options
            )
            after = closed.rpartition(_MARK)[2].strip()
            known = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
            closing = [token for token in known if after.startswith(token)]
            if closing:
                longest = max(closing, key=len)
                stop_ids.append(int(tokenizer.convert_tokens_to_ids(longest)))
        if not stop_ids:
            raise RecipeError.of(
                f"the tokenizer of {tokenizer.name_or_path or 'this model'} has no end token",
                fix="set eos_token in its tokenizer_config.json, or no completion would ever end",
            )
        self.stop_ids = tuple(dict.fromkeys(stop_ids))

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


def _as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
