"""AdamW's groups and the fp32 copies of bf16 weights."""

import pytest
import torch
from pydantic import ValidationError

from trainer.parallel.optimizer import MasterWeights, Optimizers, set_rates
from trainer.recipe.sections import OptimizerSpec


def test_norms_and_biases_are_not_decayed():
    layer = torch.nn.Linear(3, 2)
    norm = torch.nn.LayerNorm(2)
    both = torch.nn.Sequential(layer, norm)
    optimizers = Optimizers(layers=OptimizerSpec(lr=0.1, weight_decay=0.5))
    groups = optimizers.build(dict(both.named_parameters())).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (3, 0.0)]


def test_value_head_has_settings_and_a_rate_of_its_own():
    named = {
        "layer.weight": torch.nn.Parameter(torch.ones(2, 2)),
        "value_head.weight": torch.nn.Parameter(torch.ones(1, 2)),
        "value_head.bias": torch.nn.Parameter(torch.ones(1)),
    }
    optimizers = Optimizers(
        layers=OptimizerSpec(lr=0.1), value_head=OptimizerSpec(lr=0.2, betas=[0.5, 0.6], eps=1e-3)
    )
    optimizer = optimizers.build(named)
    set_rates(optimizer, 0.1, 0.2)
    found = [(g["lr"], tuple(g["betas"]), g["eps"]) for g in optimizer.param_groups]
    assert found == [(0.1, (0.9, 0.99), 1e-8), *[(0.2, (0.5, 0.6), 1e-3)] * 2]


def test_first_step_by_hand():
    # Adam's first step is lr * g / (|g| + eps): 0.1 * 2 / (2 + 0) = 0.1
    weight = torch.nn.Parameter(torch.tensor([[1.0]]))
    spec = OptimizerSpec(lr=0.1, eps=1e-30)
    optimizer = Optimizers(layers=spec).build({"weight": weight})
    set_rates(optimizer, 0.1, 0.0)
    weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([[0.9]]))


def test_learning_rate_may_be_a_schedule():
    spec = OptimizerSpec.model_validate(
        {"lr": {"name": "linear", "start": 1.0, "end": 0.0, "steps": 4}}
    )
    assert spec.lr.name == "linear"


@pytest.mark.parametrize("wrong", [{"max_grad_norm": 0.0}, {"betas": [0.9]}, {"name": "sgd"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        OptimizerSpec(lr=0.1, **wrong)


def test_small_gradients_add_up_in_fp32_under_bf16_weights():
    # bf16 has 8 bits: 1 + 0.001 is 1. A thousand of them are lost in bf16, and 1 in fp32.
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    masters = MasterWeights([weight])
    (weight * 1.0).sum().backward()
    for _ in range(1000):
        (weight * 0.001).sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(masters.all[0].grad, torch.tensor([2.0]), rtol=1e-3, atol=0)


def test_bf16_weight_follows_its_copy():
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    masters = MasterWeights([weight])
    with torch.no_grad():
        masters.all[0] += 0.5
    masters.publish()
    assert weight.item() == 1.5


def test_fp32_weights_are_their_own_masters():
    weight = torch.nn.Parameter(torch.ones(1))
    assert MasterWeights([weight]).all[0] is weight
