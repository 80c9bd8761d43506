"""Where a response thinks and where it answers: `<think> ... </think> answer`."""

from dataclasses import dataclass

_OPEN, _CLOSE = "<think>", "</think>"
_ELLIPSIS = "..."  # a prompt may put it in the model's mouth; it is no thought


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """A response in two parts."""

    thought: str  # what stands before the closing tag, without an opening one; all without a tag
    answer: str  # what stands behind it; empty without a tag
    closed: bool  # whether there is a closing tag

    @property
    def thinks(self) -> bool:
        """Whether anything but an ellipsis was thought."""
        return self.thought.strip() not in ("", _ELLIPSIS)


def split_thinking(response: str) -> Thinking:
    """The parts of a response; the opening tag may already stand in the prompt."""
    before, closing, after = response.partition(_CLOSE)
    thought = before.lstrip().removeprefix(_OPEN)
    return Thinking(thought=thought, answer=after, closed=bool(closing))
