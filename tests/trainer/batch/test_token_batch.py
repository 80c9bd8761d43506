import pytest
import torch

from tests.support.builders import batch
from trainer.batch.token_batch import NotComputed


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
