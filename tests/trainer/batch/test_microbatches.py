"""Microbatches: whole sequences, within the budget, even over ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import annotated, batch
from trainer.batch.microbatches import scored_tokens, share_out, trained_sequences

lengths = st.lists(st.integers(1, 50), max_size=30)


@given(lengths=lengths, max_tokens=st.integers(1, 60), ranks=st.integers(1, 4))
def test_every_sequence_goes_to_exactly_one_microbatch(lengths, max_tokens, ranks):
    shares = share_out(lengths, max_tokens, ranks)
    chosen = [i for micros in shares for members in micros for i in members]
    assert sorted(chosen) == list(range(len(lengths)))


@given(lengths=lengths, max_tokens=st.integers(1, 60), ranks=st.integers(1, 4))
def test_ranks_get_equally_many_and_none_breaks_the_budget(lengths, max_tokens, ranks):
    shares = share_out(lengths, max_tokens, ranks)
    assert len(shares) == ranks
    assert len({len(micros) for micros in shares}) == 1
    for members in (members for micros in shares for members in micros):
        assert sum(lengths[i] for i in members) <= max_tokens or len(members) == 1


def test_longest_go_together_and_loads_are_even_by_hand():
    # Longest first 9 7 6 4 3 1, 30 tokens; 20 fit, so two bins are needed and 16 is the least
    # budget that gives two: 9+7 | 6+4+3+1.
    assert share_out([4, 9, 1, 7, 3, 6], max_tokens=20, ranks=1) == [[[1, 3], [5, 0, 4, 2]]]


def test_ranks_take_turns_there_and_back():
    # one sequence a bin: 8 to rank 0, 7 to rank 1, then 6 to rank 1, 5 to rank 0
    assert share_out([8, 7, 6, 5], max_tokens=8, ranks=2) == [[[0], [3]], [[1], [2]]]


def test_sequence_over_the_budget_is_alone():
    assert share_out([2, 50, 2], max_tokens=10, ranks=1) == [[[1], [0, 2]]]


@pytest.mark.parametrize("count", [0, 1])
def test_ranks_without_work_get_an_empty_microbatch(count):
    shares = share_out([5] * count, max_tokens=10, ranks=3)
    assert [len(micros) for micros in shares] == [1, 1, 1]
    assert sum(len(members) for micros in shares for members in micros) == count


def test_sequences_without_weight_are_not_trained():
    full = annotated(batch([[1, 0, 1]]))
    silent = torch.where(full.seq_ids == 1, 0.0, full.loss_weights)
    no_term = torch.zeros_like(full.term_weights)
    assert trained_sequences(full.replace(loss_weights=silent, term_weights=no_term)) == [0, 2]


def test_a_term_alone_keeps_a_sequence():
    full = annotated(batch([[1, 0, 1]]))
    silent = torch.zeros_like(full.loss_weights)
    only = torch.where(full.seq_ids == 1, 0.5, 0.0)[:, None]
    assert trained_sequences(full.replace(loss_weights=silent, term_weights=only)) == [1]


def test_all_sequences_are_trained_before_weights_exist():
    assert trained_sequences(batch([[1, 0, 1]])) == [0, 1, 2]


def test_tokens_are_scored_from_the_first_action_on():
    # prompt of 2, then two replies of 2 and 1 with one observed token between: 2 + 2 + 1 + 1
    one = batch([[1, 0]], [[[2, 1], 3]])
    assert scored_tokens(one).tolist() == [2, 3, 4, 5, 8, 9, 10]


def test_first_token_of_a_sequence_is_never_scored():
    sampled_at_once = batch([[1]], [[3]], prompts=[0])
    assert scored_tokens(sampled_at_once).tolist() == [1, 2]


def test_sequence_without_actions_is_not_scored():
    assert scored_tokens(batch([[0]], [[0]])).tolist() == []
