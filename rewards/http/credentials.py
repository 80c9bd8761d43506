"""Secrets by the name of their environment variable: read late, and never shown.

    withhold("JUDGE_KEY")       from now on its value is kept out of texts
    secret("JUDGE_KEY")         its value, for a request header
    scrubbed(text)              text with every such value replaced by the name

Workers and sandboxes do not inherit it: they see only variables that say where things lie. What
this does not protect against: code in this process can read the environment as it likes.
"""

import os

from recipes.errors import RecipeError

_withheld: set[str] = set()
_SHORTEST = 4  # a shorter value would blot out ordinary words


def withhold(name: str) -> None:
    """Keep the variable's value out of texts."""
    _withheld.add(name)


def secret(name: str) -> str:
    """The value of a variable; RecipeError when it is not set, or cannot be a header's value."""
    withhold(name)
    value = os.environ.get(name, "")
    if not value:
        raise RecipeError.of(
            f"the environment variable {name} is not set",
            fix=f"export {name}=... before the run, or name another variable",
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise RecipeError.of(
            f"the environment variable {name} holds characters that no HTTP header can carry",
            fix="set it to the key alone, without spaces or line breaks",
        )
    return value


def scrubbed(text: str) -> str:
    """`text` without any withheld value, whoever put it there."""
    for name in sorted(_withheld):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"<{name}>")
    return text
