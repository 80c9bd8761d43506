import pytest
import torch

from trainer.metrics import Max, Mean, Metrics, Min, Sum, describe_masked


def test_a_mean_of_unequal_parts_is_the_mean_of_all_values():
    parts = Mean.over(torch.tensor([1.0, 2.0, 3.0])).merge(Mean.over(torch.tensor([10.0])))
    assert parts.value == 4.0  # not (2 + 10) / 2


def test_each_kind_merges_by_its_own_rule():
    left = Metrics({"a": Mean(2, 2), "b": Sum(1), "c": Max(3), "d": Min(3)})
    right = Metrics({"a": Mean(4, 1), "b": Sum(2), "c": Max(1), "d": Min(1)})
    assert (left + right).numbers() == {"a": 2.0, "b": 3.0, "c": 3.0, "d": 1.0}


def test_the_mean_of_nothing_is_not_logged():
    empty = torch.zeros(0)
    metrics = Metrics({"a": Mean.over(empty), "b": Max.over(empty), "c": Sum(0)})
    assert metrics.numbers() == {"c": 0.0}


def test_two_kinds_under_one_name_are_refused():
    with pytest.raises(AssertionError, match="metric a"):
        Metrics({"a": Sum(1)}) + {"a": Max(1)}


def test_a_mask_chooses_what_is_described():
    values, mask = torch.tensor([1.0, 100.0, 3.0]), torch.tensor([True, False, True])
    numbers = Metrics(describe_masked("x", values, mask)).numbers()
    assert numbers == {"x": 2.0, "x_min": 1.0, "x_max": 3.0}
