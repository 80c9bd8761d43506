import pytest
import torch

from rollout.types import Status
from tests.support.builders import group, sample
from trainer.batch.pack import pack


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
