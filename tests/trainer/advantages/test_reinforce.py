from tests.support.builders import batch
from trainer.advantages.reinforce import reinforce


def test_every_action_token_gets_the_reward():
    of = batch([[1, -2]], [[2, [1, 1]]], prompts=[1])
    assert reinforce(of).tolist() == [0, 1, 1, 0, -2, 0, -2]


def test_a_discount_counts_action_tokens_to_the_end():
    of = batch([[1]], [[[2, 1]]], prompts=[1])
    assert reinforce(of, gamma=0.5).tolist() == [0, 0.25, 0.5, 0, 1]
