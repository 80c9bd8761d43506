import pytest
import torch

from trainer.ops.value_bins import bin_centres, hl_gauss, two_hot


def test_centres_are_the_middles():
    assert bin_centres(0.0, 1.0, 5).tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


def test_a_gaussian_over_five_bins():
    mass = hl_gauss(torch.tensor([0.37]), 0.0, 1.0, 5, sigma=0.75)  # 0.15 in reward units
    expected = torch.tensor([[0.12256, 0.45382, 0.36061, 0.06094, 0.00207]])
    torch.testing.assert_close(mass, expected, rtol=0, atol=1e-5)
    assert float(mass @ bin_centres(0.0, 1.0, 5)) == pytest.approx(0.373231, abs=1e-6)


def test_two_hot_splits_between_the_nearest_centres():
    mass = two_hot(torch.tensor([0.35, 0.1, 0.9]), 0.0, 1.0, 5)
    expected = [[0, 0.75, 0.25, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(mass, torch.tensor(expected))


def test_two_hot_has_the_target_as_its_mean():
    targets = torch.linspace(0.1, 0.9, 33)
    mean = two_hot(targets, 0.0, 1.0, 5) @ bin_centres(0.0, 1.0, 5)
    torch.testing.assert_close(mean, targets)


@pytest.mark.parametrize("sigma", [0.1, 0.75, 3.0])
def test_masses_sum_to_one_up_to_the_edges(sigma):
    targets = torch.tensor([0.0, 0.2, 0.5, 1.0])
    torch.testing.assert_close(hl_gauss(targets, 0.0, 1.0, 7, sigma).sum(1), torch.ones(4))
    torch.testing.assert_close(two_hot(targets, 0.0, 1.0, 7).sum(1), torch.ones(4))


def test_bins_are_as_wide_as_the_range_says():
    # four bins of width 1 from -2 to 2; 0.25 is a quarter below the centre 0.5
    mass = two_hot(torch.tensor([0.25]), -2.0, 2.0, 4)
    torch.testing.assert_close(mass, torch.tensor([[0, 0.25, 0.75, 0]]))
    # a Gaussian of one bin's width around 0: 0.3413 and 0.1359 of 0.9545 on each side
    spread = hl_gauss(torch.tensor([0.0]), -2.0, 2.0, 4, sigma=1.0)
    expected = torch.tensor([[0.14238, 0.35762, 0.35762, 0.14238]])
    torch.testing.assert_close(spread, expected, rtol=0, atol=1e-4)
