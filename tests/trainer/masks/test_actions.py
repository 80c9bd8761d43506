from tests.support.builders import batch
from trainer.masks.actions import actions


def test_replies_learn_and_prompt_and_observation_do_not():
    of = batch([[1]], [[[2, 1]]], prompts=[1])
    assert actions(of).tolist() == [False, True, True, False, True]
