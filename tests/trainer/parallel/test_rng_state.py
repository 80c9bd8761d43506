"""Random numbers go on where they were."""

import torch

from trainer.parallel.rng_state import load_random_state, save_random_state


def test_the_same_numbers_come_next(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch.rand(5)
        save_random_state(tmp_path, rank=1)
        expected = torch.rand(4)
        torch.rand(100)
        load_random_state(tmp_path, rank=1)
        assert torch.equal(torch.rand(4), expected)


def test_rank_that_was_not_there_keeps_its_own_and_says_so(tmp_path, caplog):
    with torch.random.fork_rng():
        save_random_state(tmp_path, rank=0)
        torch.manual_seed(4)
        expected = torch.rand(3)
        torch.manual_seed(4)
        load_random_state(tmp_path, rank=1)
        assert torch.equal(torch.rand(3), expected)
    assert "no random state of rank 1" in caplog.text
