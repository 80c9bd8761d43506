"""Every term, on random ragged batches and policies that have drifted from the old one."""

import pytest
from hypothesis import given

from tests.contracts import objectives
from tests.contracts.ragged import Case, batches, cases, empty, masked, policy, quick, shuffled
from trainer.terms import term

pytestmark = pytest.mark.parametrize("case", cases(term))


@quick
@given(of=batches())
def test_gives_every_token_a_finite_value_and_gradient(case: Case, of):
    objectives.check(case, of, policy(of, shift=0.3))


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    objectives.check_order_of_sequences(case, of, order)


@quick
@given(of=batches())
def test_does_not_depend_on_the_split_into_microbatches(case: Case, of):
    objectives.check_split(case, of)


def test_is_finite_without_a_sampled_token(case: Case):
    objectives.check(case, empty(), policy(empty()))


@quick
@given(of=batches())
def test_is_finite_when_every_token_is_masked(case: Case, of):
    objectives.check(case, masked(of), policy(of, shift=0.3))


@quick
@given(of=batches())
def test_takes_bfloat16_logprobs(case: Case, of):
    objectives.check_bfloat16(case, of)
