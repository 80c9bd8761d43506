import statistics

import pytest
import torch

from tests.support.builders import annotated, batch
from trainer.ops.covariance import covariance, hash_keys, smallest_k


def test_is_the_product_of_the_centred_values():
    of = annotated(batch([[1]], [[3]], prompts=[1]))
    of = of.replace(advantages=torch.tensor([0.0, 1, 2, 6]))
    logprobs = torch.tensor([9.0, -1, -2, -6])
    # means -3 and 3: (2)(-2), (1)(-1), (-3)(3)
    assert covariance(logprobs, of).tolist() == [0, -4, -1, -9]


def test_its_mean_is_the_populations_covariance():
    of = annotated(batch([[1, 0], [1, 1]], [[3, 2], [[2, 2], 4]]))
    logprobs = of.behavior_logprobs
    mask = of.train_mask
    x, y = logprobs[mask].tolist(), of.advantages[mask].tolist()
    expected = statistics.covariance(x, y) * (len(x) - 1) / len(x)
    assert float(covariance(logprobs, of)[mask].mean()) == pytest.approx(expected, rel=1e-5)


def test_the_lottery_follows_the_token_not_its_place_in_the_batch():
    of = batch([[1, 0], [1, 1]], [[3, 2], [5, 4]])
    order = torch.tensor([2, 0, 3, 1])
    moved = hash_keys(of.select(order))
    expected = torch.cat([hash_keys(of)[of.seq_ids == s] for s in order.tolist()])
    assert torch.equal(moved, expected)


def test_the_lottery_is_fair():
    of = batch([[1] * 50], [[40] * 50])
    signs = (hash_keys(of)[of.action_mask] > 0).float().reshape(50, 40)
    assert float(signs.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(signs.mean(1).std()) == pytest.approx(0.5 / 40**0.5, rel=0.3)
    assert len(torch.unique(hash_keys(of))) == of.num_tokens


def test_the_first_are_the_smallest_and_ties_go_by_the_second_order():
    order = torch.tensor([3, 1, 1, 0, 1])
    among = torch.tensor([True, True, True, False, True])
    ties = torch.tensor([0, 5, 2, 0, 9])
    assert smallest_k(2, order, among, ties).tolist() == [False, True, True, False, False]
    assert smallest_k(1, order, among, ties).tolist() == [False, False, True, False, False]
    assert smallest_k(9, order, among, ties).tolist() == among.tolist()
