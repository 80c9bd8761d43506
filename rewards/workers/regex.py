"""Regular expressions on responses, for a worker: one that backtracks for ever can be killed."""

import re


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` is found in `text`; a dot matches line breaks too."""
    return re.search(pattern, text, re.DOTALL) is not None
