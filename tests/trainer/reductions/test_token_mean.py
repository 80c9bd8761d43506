from tests.support.builders import annotated, batch
from trainer.reductions.token_mean import token_mean


def test_each_of_four_trained_tokens_weighs_a_quarter():
    of = annotated(batch([[1, 0]], [[3, 1]], prompts=[1]))
    assert token_mean(of).tolist() == [0, 0.25, 0.25, 0.25, 0, 0.25]


def test_a_token_that_is_not_trained_leaves_the_divisor():
    of = annotated(batch([[1, 0]], [[3, 1]], prompts=[1]))
    trained = of.train_mask.clone()
    trained[1:3] = False
    assert token_mean(of.replace(train_mask=trained)).tolist() == [0, 0, 0, 0.5, 0, 0.5]
