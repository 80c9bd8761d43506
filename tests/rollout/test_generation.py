"""Stop strings over token boundaries."""

import numpy as np
import pytest

from recipes.errors import RecipeError
from rollout.generation import StopStrings
from tests.support.models import save_words


@pytest.mark.parametrize(
    ("tokens", "stops"),
    [([1, 2], False), ([1, 2, 3], True), ([2], False), ([3, 2], False), ([2, 3, 2], True)],
)
def test_a_string_may_span_tokens(tokens, stops, tmp_path):
    save_words(tmp_path)
    assert StopStrings(tmp_path, ("2 w03",))(np.array(tokens)) == stops


def test_any_of_several_strings_stops(tmp_path):
    save_words(tmp_path)
    assert StopStrings(tmp_path, ("w09", "w05"))(np.array([4, 5]))


def test_only_the_end_is_looked_at(tmp_path):
    save_words(tmp_path)
    stops = StopStrings(tmp_path, ("w05",))  # 4 * 3 + 8 tokens at most
    assert stops(np.array([5] + [6] * 19))
    assert not stops(np.array([5] + [6] * 20))


def test_a_folder_without_tokenizer_is_named(tmp_path):
    with pytest.raises(RecipeError, match="has none"):
        StopStrings(tmp_path, ("x",))
