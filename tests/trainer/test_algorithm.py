import math

import pytest
import torch

from recipes.errors import RecipeError
from recipes.slots.registry import SlotEntry
from recipes.slots.schedules import number
from tests.support.builders import annotated, batch, output
from trainer.advantages import advantage
from trainer.algorithm import Algorithm, Objective, WeightedTerm, observation_mask
from trainer.batch import ABSENT, LossOutput, PolicyOutput, TokenBatch
from trainer.corrections import correction
from trainer.losses import loss
from trainer.losses.importance_sampling import importance_sampling
from trainer.masks import mask
from trainer.recipe.sections import Setting, Slots
from trainer.reductions import reduction
from trainer.selections import selection
from trainer.terms import term


def minus_logprobs(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    return LossOutput(values=-out.logprobs * batch.advantages)


def entropy(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    return LossOutput(values=out.entropy)


PLAIN = Objective(loss=minus_logprobs, terms=[])


def test_the_total_is_the_weighted_sum_of_loss_and_terms():
    data = annotated(batch())
    out = output(data)
    objective = Objective(
        loss=minus_logprobs,
        terms=[WeightedTerm(name="entropy", coef=-0.5, function=entropy, index=0)],
    )
    expected = (data.loss_weights * data.importance_weights * -out.logprobs * data.advantages).sum()
    expected = expected - 0.5 * (data.term_weights[:, 0] * out.entropy).sum()
    torch.testing.assert_close(objective(out, data).total, expected)


def test_a_dropped_token_adds_nothing_but_stays_in_the_denominator():
    data = annotated(batch([[1]], [[2]]))
    weights = data.importance_weights.clone()
    weights[-1] = 0
    dropped = data.replace(importance_weights=weights, advantages=torch.ones(data.num_tokens))
    out = output(dropped)
    torch.testing.assert_close(PLAIN(out, dropped).total, -out.logprobs[2] / 2)


def test_a_nan_at_a_token_of_weight_zero_cannot_leak():
    data = annotated(batch())
    out = output(data)

    def spoilt(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
        return LossOutput(values=-out.logprobs + torch.where(batch.action_mask, 0, float("nan")))

    total = Objective(loss=spoilt, terms=[])(out, data).total
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(out.logprobs.grad).all()


def test_without_trained_tokens_the_total_is_zero_and_still_attached():
    data = annotated(batch())
    data = data.replace(loss_weights=torch.zeros(data.num_tokens))
    out = output(data)
    total = PLAIN(out, data).total
    total.backward()
    assert total == 0
    assert out.logprobs.grad is not None


def test_without_an_earlier_pass_the_ratio_is_one():
    data = batch()
    fields = annotated(data)
    bare = data.replace(
        **{k: getattr(fields, k) for k in ("advantages", "train_mask", "importance_weights")},
        loss_weights=fields.loss_weights,
    )
    metrics = PLAIN(output(bare), bare).metrics.numbers()
    assert metrics["loss/ratio_mean"] == 1.0


def test_splitting_into_microbatches_leaves_value_and_gradient_unchanged():
    data = annotated(batch([[1, 0, 1], [0, 1, 1]], [[3, 1, 2], [5, 2, 4]]))
    whole = output(data, shift=0.1)
    total = PLAIN(whole, data).total
    total.backward()
    parts, gradients = [], []
    for chosen in ([0, 4], [1, 2], [3, 5]):
        micro = data.select(chosen)
        out = output(micro, logprobs=whole.logprobs.detach()[_tokens_of(data, chosen)])
        part = PLAIN(out, micro).total
        part.backward()
        parts.append(part)
        gradients.append((_tokens_of(data, chosen), out.logprobs.grad))
    torch.testing.assert_close(sum(parts), total)
    for where, gradient in gradients:
        torch.testing.assert_close(gradient, whole.logprobs.grad[where])


def _tokens_of(data: TokenBatch, sequences: list[int]) -> torch.Tensor:
    return torch.cat([(data.seq_ids == s).nonzero().squeeze(1) for s in sequences])


def test_without_an_earlier_pass_the_gradient_is_that_of_the_policys_own_ratio():
    data = annotated(batch())
    bare = TokenBatch(**{**vars(data), "old_logprobs": ABSENT})
    alone = output(data)
    given = output(data, logprobs=alone.logprobs.detach())
    objective = Objective(loss=importance_sampling, terms=[])
    objective(alone, bare).total.backward()
    objective(given, data.replace(old_logprobs=alone.logprobs.detach())).total.backward()
    assert bool(alone.logprobs.grad.any())
    torch.testing.assert_close(alone.logprobs.grad, given.logprobs.grad)


def test_an_earlier_pass_is_what_the_ratio_is_taken_against():
    data = annotated(batch())
    data = data.replace(old_logprobs=data.behavior_logprobs - 0.5)
    metrics = PLAIN(output(data), data).metrics.numbers()
    assert metrics["loss/ratio_mean"] == pytest.approx(math.exp(0.5))


def test_while_only_the_critic_learns_the_policys_part_is_logged_and_is_zero():
    data = annotated(batch())
    resting = Objective(loss=minus_logprobs, terms=[], critic_only=True)
    result, usual = resting(output(data), data), PLAIN(output(data), data)
    assert result.total == 0 and usual.total != 0
    assert result.metrics.numbers() == usual.metrics.numbers()


RAMP = {"name": "linear", "start": 0.2, "end": 0.4, "steps": 10}


def algorithm(*, updates: int = 1, terms: tuple[SlotEntry, ...] = (), **options) -> Algorithm:
    slots = Slots(
        shaping=[],
        advantage=advantage.bind(
            {"name": "grpo", "std_normalize": options.get("std_normalize", True)}
        ),
        masks=[mask.bind("actions")],
        correction=correction.bind(options.get("correction", "none")),
        selections=[selection.bind(entry) for entry in options.get("selections", [])],
        reduction=reduction.bind("token_mean"),
        loss=loss.bind(options.get("loss", "ppo_clip")),
        terms=terms,
        lr=Setting(path="optimizer.lr", value=options.get("lr", 0.1)),
        temperature=Setting(path="sampling.temperature", value=options.get("temperature", 1.0)),
        max_tokens=Setting(path="sampling.max_tokens", value=options.get("max_tokens", 8)),
        pretrain_steps=options.get("pretrain_steps", 0),
    )
    return Algorithm(slots, updates_per_step=updates)


def test_a_schedule_is_a_plain_number_at_each_step():
    ramped = algorithm(loss={"name": "ppo_clip", "clip_high": RAMP})
    seen = [ramped.at(step).objective.loss.keywords["clip_high"] for step in (0, 5, 99)]
    assert seen == pytest.approx([0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("options", "credit"),
    [  # of one right in eight, one right and three wrong are kept: 1 - 1/4 and 0 - 1/4
        ({}, [0.75, -0.25, -0.25, -0.25]),
        ({"statistics": "all"}, [0.875, -0.125, -0.125, -0.125]),
    ],
)
def test_advantages_are_of_the_samples_that_a_selection_names(options, credit):
    entry = {"name": "max_variance", "keep": 4, **options}
    algo = algorithm(selections=[entry], std_normalize=False).at(0)
    kept = algo.select(algo.advantage(batch([[1, 0, 0, 0, 0, 0, 0, 0]])))
    assert kept.advantages[kept.action_mask].unique().tolist() == sorted(set(credit))


def test_settings_outside_the_slots_may_be_schedules_too():
    halving = number.bind({"name": "linear", "start": 1.0, "end": 0.0, "steps": 10})
    step = algorithm(lr=halving, temperature=halving).at(5)
    assert (step.lr, step.temperature) == (0.5, 0.5)


def test_a_scheduled_length_is_rounded():
    growing = number.bind({"name": "linear", "start": 10, "end": 15, "steps": 10})
    sampling = algorithm(max_tokens=growing).sampling
    assert [sampling(step).max_tokens for step in (0, 1, 9)] == [10, 10, 14]


def test_while_the_critic_alone_learns_there_is_no_rate():
    warming = algorithm(pretrain_steps=2)
    assert [warming.at(step).lr for step in (0, 1, 2)] == [None, None, 0.1]
    assert [warming.at(step).critic_only for step in (1, 2)] == [True, False]


def test_one_update_a_step_saves_the_pass_for_old_logprobs():
    assert algorithm(updates=1).needs == frozenset()
    assert algorithm(updates=2).needs == {"old_logprobs"}


def test_a_correction_needs_old_logprobs_whatever_the_number_of_updates():
    assert algorithm(correction="truncated_is").needs == {"old_logprobs"}


def test_a_term_with_its_own_population_has_its_own_weights():
    data = annotated(batch([[1, 0]], [[[2, 1], 3]]))  # two turns with one observed token between
    bound = term.bind({"name": "entropy_bonus", "mask": "observation", "reduction": "token_mean"})
    weighted = algorithm(terms=(bound,)).at(0).reduce(data)
    assert weighted.term_weights[:, 0].sum() == 1
    assert weighted.term_weights[:, 0].nonzero().squeeze(1).tolist() == [4]
    torch.testing.assert_close(weighted.loss_weights, data.train_mask / 6)


def test_a_term_with_its_own_population_may_have_the_losss_reduction():
    data = annotated(batch([[1, 0]], [[[2, 1], 3]]))
    bound = term.bind({"name": "entropy_bonus", "mask": "observation", "reduction": "loss"})
    weights = algorithm(terms=(bound,)).at(0).reduce(data).term_weights[:, 0]
    assert weights.nonzero().squeeze(1).tolist() == [4]


def test_observations_start_after_the_first_action():
    data = batch([[1]], [[[2, 1]]])  # prompt 2, reply 2, observed 1, reply 1
    assert observation_mask(data).tolist() == [False, False, False, False, True, False]


def test_a_need_may_follow_an_option():
    to_old = term.bind({"name": "kl_k2", "to": "old"})
    to_reference = term.bind({"name": "kl_k2", "to": "ref"})
    assert algorithm(updates=2, terms=(to_old,)).needs == {"old_logprobs"}
    assert algorithm(updates=2, terms=(to_reference,)).needs == {"old_logprobs", "ref_logprobs"}


def test_what_schedules_and_controllers_gave_is_told_by_path():
    halving = number.bind({"name": "linear", "start": 1.0, "end": 0.0, "steps": 10})
    kept = {"name": "target_entropy", "target": 1.0, "start": 0.01, "delta": 0.02}
    bonus = term.bind({"name": "entropy_bonus", "coef": kept})
    ramped = algorithm(lr=halving, terms=(bonus,), loss={"name": "ppo_clip", "clip_high": RAMP})
    assert ramped.at(5).controls == pytest.approx(
        {"loss.clip_high": 0.3, "terms.0.coef": 0.01, "optimizer.lr": 0.5}
    )
    ramped.observe({"policy/entropy": 0.5})  # below the target: up by delta
    assert ramped.at(6).controls["terms.0.coef"] == pytest.approx(0.03)


def test_plain_numbers_are_no_controls():
    assert algorithm(lr=0.1).at(0).controls == {}


def test_a_metric_that_is_never_logged_ends_the_run_in_words():
    average = {"name": "ema_baseline", "metric": "reward/nope"}
    bonus = term.bind({"name": "entropy_bonus", "coef": average})
    lasting = algorithm(terms=(bonus,))
    for _ in range(19):
        lasting.observe({"reward/mean": 1.0})
    with pytest.raises(RecipeError, match=r"terms.0.coef.metric: no metric called 'reward/nope'"):
        lasting.observe({"reward/mean": 1.0})


def test_a_metric_that_was_logged_once_may_be_absent_later():
    average = {"name": "ema_baseline", "metric": "reward/mean"}
    lasting = algorithm(terms=(term.bind({"name": "entropy_bonus", "coef": average}),))
    lasting.observe({"reward/mean": 1.0})
    for _ in range(40):
        lasting.observe({})
    assert lasting.at(1).controls["terms.0.coef"] == 1.0


def test_steps_in_which_the_policy_rests_are_not_counted():
    target = {"name": "target_entropy", "target": 0.3, "start": 0.01, "delta": 0.02}
    lasting = algorithm(terms=(term.bind({"name": "entropy_bonus", "coef": target}),))
    for _ in range(50):
        lasting.observe({"reward/mean": 1.0}, is_complete=False)
    lasting.observe({"policy/entropy": 0.1})
    assert lasting.at(1).controls["terms.0.coef"] == pytest.approx(0.03)
