import torch

from trainer.ops.max_variance import max_variance_subset


def chosen(values, names, count):
    return max_variance_subset(torch.tensor(values), torch.tensor(names), count).nonzero().flatten()


def test_the_extremes_by_hand():
    # of three: 9 with 0 and 2 varies by 134/9, 9 and 8 with 0 by 146/9
    assert chosen([0.0, 9.0, 2.0, 8.0, 5.0], [0, 1, 2, 3, 4], 3).tolist() == [0, 1, 3]


def test_ties_go_by_name_whatever_the_order():
    assert chosen([1.0, 1.0, 0.0, 0.0], [0, 1, 2, 3], 2).tolist() == [0, 3]
    assert chosen([0.0, 1.0, 0.0, 1.0], [3, 1, 2, 0], 2).tolist() == [0, 3]


def test_all_of_them_and_one_of_them():
    assert chosen([1.0, 2.0, 3.0], [0, 1, 2], 3).tolist() == [0, 1, 2]
    assert len(chosen([1.0, 2.0, 3.0], [0, 1, 2], 1)) == 1
