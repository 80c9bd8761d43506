import torch

from tests.support.builders import batch
from trainer.advantages.grpo import grpo
from trainer.advantages.stratified import stratified

EXAMPLES = [{}, {"by": "calls"}, {"by": "calls", "blend": 1.0, "ddof": 0}]


def test_each_stratum_has_its_own_mean_and_spread():
    # calls 1: rewards 0, 1; calls 2: rewards 4, 6; deviations 0.5 and 1 of the population
    of = batch([[0, 1, 4, 6]], [[1] * 4], components={"calls": [[1, 1, 2, 2]]})
    values = stratified(of, by="calls", blend=1.0, ddof=0)[of.action_mask]
    expected = torch.tensor([-1.0, 1, -1, 1])
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)


def test_half_and_half():
    of = batch([[0, 1, 4, 6]], [[1] * 4], components={"calls": [[1, 1, 2, 2]]})
    inside = stratified(of, by="calls", blend=1.0)
    torch.testing.assert_close(stratified(of, by="calls", blend=0.5), 0.5 * inside + 0.5 * grpo(of))


def test_one_stratum_is_grpo():
    of = batch([[0, 1, 4], [1, 0, 0]], components={"calls": [[2, 2, 2], [1, 1, 1]]})
    for blend in (0.0, 0.3, 1.0):
        torch.testing.assert_close(stratified(of, by="calls", blend=blend), grpo(of))


def test_strata_of_two_problems_are_apart():
    of = batch([[0, 1], [4, 6]], [[1, 1], [1, 1]], components={"calls": [[1, 1], [1, 1]]})
    torch.testing.assert_close(stratified(of, by="calls", blend=1.0), grpo(of))


def test_a_stratum_of_one_keeps_the_groups_term_only():
    of = batch([[0, 1, 4]], [[1] * 3], components={"calls": [[1, 1, 2]]})
    values = stratified(of, by="calls", blend=0.75)[of.action_mask]
    torch.testing.assert_close(values[2], 0.25 * grpo(of)[of.action_mask][2])


def test_counts_above_the_cap_share_a_stratum():
    many = batch([[0, 1, 4]], components={"calls": [[4, 5, 9]]})
    torch.testing.assert_close(stratified(many, by="calls", cap=4.0), grpo(many))


def test_standardised_strata_have_unit_variance_over_the_group():
    of = batch([[0, 1, 4, 6]], [[1] * 4], components={"calls": [[1, 1, 2, 2]]})
    values = stratified(of, by="calls", blend=1.0, ddof=0, eps=1e-12)[of.action_mask]
    torch.testing.assert_close(values.mean(), torch.tensor(0.0))
    torch.testing.assert_close(values.var(correction=0), torch.tensor(1.0))


def test_without_a_component_the_number_of_turns_is_the_stratum():
    lengths = [[2, 2, [1, 1], [1, 1]]]
    of = batch([[0, 1, 4, 6]], lengths, components={"calls": [[1, 1, 2, 2]]})
    torch.testing.assert_close(stratified(of), stratified(of, by="calls"))


def test_samples_without_the_component_share_no_stratum():
    nan = float("nan")
    of = batch([[0, 1, 4, 6]], [[1] * 4], components={"calls": [[0, 0, nan, nan]]})
    values = stratified(of, by="calls", blend=1.0, ddof=0)[of.action_mask]
    torch.testing.assert_close(values, torch.tensor([-1.0, 1, 0, 0]), rtol=1e-4, atol=1e-4)
