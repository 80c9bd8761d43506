"""A file as a typed section: every fault, each with its line, path and remedy."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import load
from recipes.loading.validate import model_of, validate
from recipes.slots.spec import Spec


class Inner(Spec):
    renamed: ClassVar[Mapping[str, str]] = {"words": "tokens"}

    tokens: Annotated[int, Field(gt=0)]
    stop: list[str] = []


class Outer(Spec):
    name: str
    inner: Inner
    many: list[Inner] = []


def read(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return validate(Outer, load(path))


def test_a_sound_file_is_the_section(tmp_path):
    found = read(tmp_path, "name: a\ninner: {tokens: 3}\n")
    assert (found.name, found.inner.tokens, found.many) == ("a", 3, [])


def test_every_fault_is_listed_with_its_line(tmp_path):
    with pytest.raises(RecipeError) as raised:
        read(tmp_path, "inner:\n  token: 3\nmany:\n  - {tokens: 0}\n")
    places = {
        fault.path: (fault.where.rpartition(":")[2], fault.what) for fault in raised.value.faults
    }
    assert places["name"][1] == "this setting is required"
    assert places["inner.token"] == ("2", "inner has no such option")
    assert places["inner.tokens"] == ("1", "this setting is required")
    assert places["many.0.tokens"][0] == "4" and "greater than 0" in places["many.0.tokens"][1]


def test_a_misspelt_option_gets_the_nearest_one(tmp_path):
    with pytest.raises(RecipeError, match=r"did you mean 'tokens'\? \(options: stop, tokens\)"):
        read(tmp_path, "name: a\ninner: {tokns: 3}\n")


def test_an_unknown_option_at_the_top_is_the_files(tmp_path):
    with pytest.raises(RecipeError, match="nmae: the file has no such option; did you mean 'name'"):
        read(tmp_path, "nmae: a\ninner: {tokens: 3}\n")


def test_sections_are_found_below_lists_too():
    assert model_of("many.0", Outer) is Inner
    assert model_of("", Outer) is Outer


def test_an_old_key_is_answered_with_the_new_one_alone(tmp_path):
    with pytest.raises(RecipeError) as raised:
        read(tmp_path, "name: a\ninner:\n  words: 3\n")
    (fault,) = raised.value.faults  # and not that `tokens` is missing
    assert str(fault).endswith("x.yaml:3: inner.words: `words` is now `tokens`; rename it")
