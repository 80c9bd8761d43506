"""A task and its response as the ids that a reward model reads; the same in training and use."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipes.errors import RecipeError
from rewards.judging.quoting import defused
from rewards.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAD = "<|pad|>"


def conversation(prompt: Sequence[Message], response: str) -> list[dict[str, str]]:
    """The messages with the response as the assistant's, unable to open a turn of its own."""
    reply = {"role": "assistant", "content": defused(response)}
    return [*({"role": m.role, "content": m.content} for m in prompt), reply]


def conversation_ids(
    tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[Message], response: str, *, plain: bool
) -> list[int]:
    """Ids by the chat template; `plain`: texts joined by blank lines, then the end token."""
    messages = conversation(prompt, response)
    if not plain:
        ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
        return [int(i) for i in ids]
    ids = tokenizer("\n\n".join(message["content"] for message in messages))["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return [int(i) for i in ids] + [i for i in end if ids[-1:] != [i]]


def refuse_without_template(
    tokenizer: "PreTrainedTokenizerBase", path: str, *, plain: bool
) -> None:
    """Raise RecipeError when the template that is to be used does not exist."""
    if not plain and not tokenizer.chat_template:
        raise RecipeError.of(
            f"the tokenizer of {path} has no chat template",
            fix="add a chat_template to the folder, or set `plain: true`",
        )


def own_pad_token(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Give the tokenizer a pad token that no text ends with; whether its vocabulary grew.

    A sequence classifier reads the last token that is not the pad token. With the end token as pad
    it would read the one before, and a server that looks at the last token another one.
    """
    if tokenizer.pad_token_id not in (None, tokenizer.eos_token_id):
        return False
    if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id):
        tokenizer.pad_token = tokenizer.unk_token
        return False
    return bool(tokenizer.add_special_tokens({"pad_token": PAD}))
