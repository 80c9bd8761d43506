from tests.support.builders import annotated, batch
from trainer.reductions.seq_mean_token_sum_norm import seq_mean_token_sum_norm

EXAMPLES = [{"length": 8}]


def test_two_samples_and_a_length_of_eight_give_a_sixteenth():
    of = annotated(batch([[1, 0]], [[2, 1]], prompts=[1]))
    assert seq_mean_token_sum_norm(of, length=8).tolist() == [0, 1 / 16, 1 / 16, 0, 1 / 16]


def test_the_weight_does_not_depend_on_the_longest_sample_of_the_batch():
    short = annotated(batch([[1, 0]], [[2, 1]]))
    long = annotated(batch([[1, 0]], [[2, 7]]))
    assert seq_mean_token_sum_norm(short, length=8).max() == 1 / 16
    assert seq_mean_token_sum_norm(long, length=8).max() == 1 / 16
