import pytest

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.ops.components import part


def test_a_part_by_its_name():
    of = batch([[1, 0]], parts={"calls": [[2, 3]], "format": [[0, 1]]})
    assert part(of, "format").tolist() == [0, 1]


def test_a_sample_without_the_part_counts_as_zero():
    assert part(batch([[1, 0]], parts={"calls": [[2, float("nan")]]}), "calls").tolist() == [2, 0]


def test_an_unknown_part_names_the_nearest():
    with pytest.raises(RecipeError, match=r"did you mean 'calls'\? \(parts of this step: calls\)"):
        part(batch([[1, 0]], parts={"calls": [[2, 3]]}), "cals")
