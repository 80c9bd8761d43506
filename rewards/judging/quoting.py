"""Text of unknown origin inside a prompt: marked off, and unable to speak for anybody else.

    <<<RESPONSE 1f2e3d4c5b6a>>>
    ...the text...
    <<<END RESPONSE 1f2e3d4c5b6a>>>

The number is a hash of all quoted texts, so no text can hold its own closing marker. What a chat
template could read as the end of a turn (`<|im_end|>`, `[INST]`, `</s>`) is broken up by a space.

What this does not protect against: a model may be persuaded by quoted words all the same. The
prompt tells it not to be; how well it obeys is a property of the model.
"""

import hashlib
import re
from collections.abc import Mapping

_CONTROL = re.compile(
    r"<(?=[|\uff5c])|(?<=[|\uff5c])>"  # <|im_end|> and its full-width relatives
    r"|<(?=/?(?:s|bos|eos|pad|unk|think|(?:start|end)_of_turn|(?:start|end)_header_id)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
    r"|<(?=<(?:<|/?SYS>>))",
    re.IGNORECASE,
)


def defused(text: str) -> str:
    """`text` with a space inside everything that looks like a control token or a marker.

    Halves of surrogate pairs, which no request can carry, become question marks.
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(lambda found: f" {found[0]}" if found[0] == ">" else f"{found[0]} ", whole)


def shortened(text: str, max_chars: int) -> str:
    """At most `max_chars` of `text`, its middle left out; 0 keeps everything."""
    left_out = len(text) - max_chars
    if max_chars == 0 or left_out <= 0:
        return text
    head = max_chars // 2
    tail = max_chars - head
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{text[-tail:]}"


def quoted(texts: Mapping[str, str]) -> tuple[str, str]:
    """The texts between their markers, one below the other; and the number in the markers."""
    safe = {name: defused(text) for name, text in texts.items()}
    joined = "\0".join(part for pair in safe.items() for part in pair)
    number = hashlib.sha256(joined.encode()).hexdigest()[:12]
    blocks = [
        f"<<<{name} {number}>>>\n{text}\n<<<END {name} {number}>>>" for name, text in safe.items()
    ]
    return "\n\n".join(blocks), number
