from tests.support.builders import batch
from trainer.corrections.none import none


def test_every_sampled_token_weighs_one():
    assert none(batch([[1]], [[[2, 1]]], prompts=[1])).tolist() == [0, 1, 1, 0, 1]
