"""A logger whose package is missing says so, with the command that mends it."""

import pytest

from recipes.errors import RecipeError
from trainer.loggers.tracked import require


def test_a_missing_package_names_the_command():
    with pytest.raises(
        RecipeError, match=r"loggers: the logger 'x' needs the package 'no_such_package'"
    ) as raised:
        require("no_such_package", "x")
    assert "pip install no_such_package" in str(raised.value)


def test_an_installed_package_passes():
    require("json", "x")
