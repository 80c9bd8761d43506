import torch

from tests.support.builders import annotated, batch
from trainer.reductions.sequence_mean import sequence_mean


def test_each_of_two_samples_weighs_a_half():
    of = annotated(batch([[1, 0]], [[4, 1]], prompts=[1]))
    assert sequence_mean(of).tolist() == [0, 0.125, 0.125, 0.125, 0.125, 0, 0.5]


def test_an_empty_completion_is_not_counted():
    of = annotated(batch([[1, 0, 0]], [[4, 0, 1]], prompts=[1]))
    torch.testing.assert_close(sequence_mean(of).sum(), torch.tensor(1.0))
    assert sequence_mean(of)[-1] == 0.5


def test_equals_a_loop_over_samples():
    of = annotated(batch([[1, 0, 0], [1, 1, 0]], [[4, 0, 1], [[2, 3], 2, 5]]))
    expected = []
    for t in range(of.num_tokens):
        own = int((of.train_mask & (of.seq_ids == of.seq_ids[t])).sum())
        expected.append(1 / own / 5 if of.train_mask[t] else 0.0)
    torch.testing.assert_close(sequence_mean(of), torch.tensor(expected))


def test_a_single_sample_weighs_all():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    assert sequence_mean(of).tolist() == [0, 0.5, 0.5]
