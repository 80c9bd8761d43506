import torch

from tests.support.builders import batch
from trainer.masks.high_product import high_product

EXAMPLES = [{}, {"frac": 0.7}]


def tokens(advantages: list[float], entropy: list[float]):
    of = batch([[1]], [[len(entropy)]], prompts=[1])
    return of.replace(
        advantages=torch.tensor([0.0, *advantages]), entropy=torch.tensor([9.0, *entropy])
    )


def test_the_largest_products_of_five():
    # products 1, 4, 0.5, 3, 0
    of = tokens([1, -2, 0.5, 3, 0], [1, 2, 1, 1, 9])
    assert high_product(of, frac=0.4).tolist() == [False, False, True, False, True, False]


def test_a_share_is_rounded_up_and_at_least_one():
    of = tokens([1, -2, 0.5, 3, 0], [1, 2, 1, 1, 9])
    assert high_product(of, frac=0.41).sum() == 3
    assert high_product(of, frac=0.001).sum() == 1


def test_without_any_advantage_all_are_kept():
    assert high_product(tokens([0, 0, 0], [1, 2, 3]), frac=0.2).sum() == 3
