"""Every loss, on random ragged batches and policies that have drifted from the old one."""

import pytest
from hypothesis import given

from tests.contracts import objectives
from tests.contracts.ragged import Case, batches, cases, empty, masked, policy, quick, shuffled
from trainer.losses import loss
from trainer.ops.segments import to_tokens

each = pytest.mark.parametrize("case", cases(loss))
each_with_a_sign = pytest.mark.parametrize("case", cases(loss, without="sign_free"))


@each
@quick
@given(of=batches())
def test_gives_every_token_a_finite_value_and_gradient(case: Case, of):
    result, gradient = objectives.check(case, of, policy(of, shift=0.3))
    assert not result.values.detach()[~of.action_mask].any()
    assert not gradient[~of.action_mask].any()


@each
@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    objectives.check_order_of_sequences(case, of, order)


@each
@quick
@given(of=batches())
def test_does_not_depend_on_the_split_into_microbatches(case: Case, of):
    objectives.check_split(case, of)


@each_with_a_sign
@quick
@given(of=batches())
def test_has_the_policy_gradient_at_ratio_one(case: Case, of):
    """The first update on fresh samples follows the advantage's sign, whatever the clip rule."""
    credit = to_tokens(of.rewards - 0.5, of)
    fresh = of.replace(old_logprobs=of.behavior_logprobs, advantages=credit)
    _, gradient = objectives.check(case, fresh, policy(fresh, shift=0.0))
    wrong = gradient * credit > 1e-7
    assert not wrong[of.action_mask].any()


@each
def test_is_zero_without_a_sampled_token(case: Case):
    result, gradient = objectives.check(case, empty(), policy(empty()))
    assert not result.values.detach().any()
    assert not gradient.any()


@each
@quick
@given(of=batches())
def test_is_finite_when_every_token_is_masked(case: Case, of):
    objectives.check(case, masked(of), policy(of, shift=0.3))


@each
@quick
@given(of=batches())
def test_takes_bfloat16_logprobs(case: Case, of):
    objectives.check_bfloat16(case, of)


@each
@quick
@given(of=batches())
def test_survives_ratios_that_overflow(case: Case, of):
    far = policy(of, logprobs=of.behavior_logprobs - 300)
    objectives.check(case, of, far)
    objectives.check(
        case, of.replace(old_logprobs=of.old_logprobs - 300 * of.action_mask), policy(of)
    )
