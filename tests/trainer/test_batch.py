"""The packed batch: its fields, packing, and whole sequences in even microbatches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rollout.types import Status
from tests.support.builders import annotated, batch, group, sample
from trainer.batch import NotComputed, pack, scored_tokens, share_out, trained_sequences

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


def test_reading_a_field_no_stage_filled_names_the_missing_declaration():
    with pytest.raises(NotComputed, match=r"batch.ref_logprobs: no slot .* needs=\('ref_logprobs'"):
        _ = batch().ref_logprobs


def test_reading_a_later_stages_field_names_the_stage():
    with pytest.raises(NotComputed, match=r"batch\.advantages: filled by the advantage stage"):
        _ = batch().advantages


def test_replace_leaves_the_original_as_it_was():
    before = batch()
    after = before.replace(advantages=torch.ones(before.num_tokens))
    assert after.has("advantages") and not before.has("advantages")


def test_select_takes_sequences_in_the_given_order():
    whole = batch([[1, 0], [1, 1]], [[3, 2], [4, 1]])  # lengths with prompts: 5 4 6 3
    part = whole.select([2, 0])
    assert part.lengths.tolist() == [6, 5]
    assert part.seq_ids.tolist() == [0] * 6 + [1] * 5
    assert part.group_ids.tolist() == [1, 0]
    assert part.token_ids[:6].tolist() == whole.token_ids[whole.seq_ids == 2].tolist()
    assert part.token_ids[6:].tolist() == whole.token_ids[whole.seq_ids == 0].tolist()


def test_select_carries_filled_fields_and_leaves_the_others_absent():
    whole = batch(values=torch.arange(20.0))
    part = whole.select([3])
    assert part.values.tolist() == whole.values[whole.seq_ids == 3].tolist()
    assert not part.has("old_logprobs")


def test_selecting_nothing_gives_an_empty_batch():
    assert batch().select([]).num_tokens == 0


def test_minibatches_hold_whole_groups_and_every_sequence_once():
    whole = batch([[1, 0]] * 5)
    parts = list(whole.minibatches(2, seed=3))
    assert len(parts) == 2
    ids = torch.cat([part.sample_ids for part in parts])
    assert sorted(ids.tolist()) == sorted(whole.sample_ids.tolist())
    assert not set(parts[0].group_ids.tolist()) & set(parts[1].group_ids.tolist())


def test_minibatches_depend_on_the_seed_alone():
    whole = batch([[1, 0]] * 6)
    first, again, other = (
        [part.group_ids.tolist() for part in whole.minibatches(3, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_one_minibatch_is_the_batch_itself():
    whole = batch()
    assert next(iter(whole.minibatches(1, seed=0))) is whole


def test_sequences_lie_end_to_end_without_padding():
    batch = pack([group([1, 0], lengths=[3, 1], group_id=7)])
    assert batch.lengths.tolist() == [5, 3]
    assert batch.num_tokens == 8
    assert batch.position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert batch.seq_ids.tolist() == [0] * 5 + [1] * 3
    assert batch.action_mask.tolist() == [False, False, True, True, True, False, False, True]
    assert batch.group_ids.tolist() == [7, 7]
    assert batch.rewards.tolist() == [1, 0]


def test_an_empty_completion_stays_as_a_sequence_without_actions():
    batch = pack([group([1, 0], lengths=[2, 0])])
    assert batch.num_sequences == 2
    assert not batch.action_mask[batch.seq_ids == 1].any()


def test_the_greedy_sample_is_a_baseline_and_no_training_data():
    plain = group([1, 0])
    with_greedy = type(plain)(
        problem=plain.problem,
        samples=(*plain.samples, sample(0.5, index=-1)),
        group_id=0,
    )
    batch = pack([with_greedy])
    assert batch.num_sequences == 2
    assert batch.greedy_rewards.tolist() == [0.5, 0.5]


def test_a_missing_verdict_in_the_batch_is_our_own_defect():
    with pytest.raises(AssertionError, match="missing verdict"):
        pack([group([1, 0], missing=[1])])


def test_components_are_columns_by_name_and_nan_where_a_sample_has_none():
    first, second = (
        sample(1, components={"b": 2.0, "a": 1.0}),
        sample(0, index=1, components={"b": 3.0}),
    )
    base = group([1, 0])
    batch = pack([type(base)(problem=base.problem, samples=(first, second), group_id=0)])
    assert batch.component_names == ("a", "b")
    assert batch.components[:, 1].tolist() == [2.0, 3.0]
    assert torch.isnan(batch.components[1, 0])


def test_sample_ids_tell_every_sample_of_the_run_apart():
    groups = [group([1, 0], group_id=g) for g in range(3)]
    ids = [g.sample_id(s) for g in groups for s in g.samples]
    assert len(set(ids)) == 6
    assert pack(groups).sample_ids.tolist() == ids


def test_status_travels_as_its_number():
    batch = pack([group([1, 0], statuses=[Status.COMPLETED, Status.TRUNCATED_TOKENS])])
    assert batch.status.tolist() == [0, 1]


def test_pass_rates_are_the_correct_share_of_each_group():
    batch = pack([group([1, 0, 0, 0], group_id=0), group([1, 0], group_id=1)])
    assert batch.pass_rates.tolist() == [0.25] * 4 + [0.5] * 2
