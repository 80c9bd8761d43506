import pytest

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.ops.components import component


def test_a_component_by_its_name():
    of = batch([[1, 0]], components={"calls": [[2, 3]], "format": [[0, 1]]})
    assert component(of, "format").tolist() == [0, 1]


def test_a_sample_without_the_component_has_none():
    calls = component(batch([[1, 0]], components={"calls": [[2, float("nan")]]}), "calls")
    assert calls[0] == 2 and calls[1].isnan()


def test_an_unknown_component_names_the_nearest():
    with pytest.raises(
        RecipeError, match=r"did you mean 'calls'\? \(components of this step: calls\)"
    ):
        component(batch([[1, 0]], components={"calls": [[2, 3]]}), "cals")
