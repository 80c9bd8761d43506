"""A policy with a critic: what it says of states, what learns when, and where it is kept."""

import pytest
import torch
from pydantic import ValidationError

from recipes.errors import RecipeError
from tests.support.builders import annotated, batch
from tests.support.policies import (
    accumulate,
    critic,
    critic_tensors,
    model_folder,
    policy,
    tensors,
    update,
)
from trainer.models.tiny import make_tokenizer
from trainer.recipe.sections import CriticSpec, LoraSpec, OptimizerSpec

LENGTHS = [[3, 20, 1], [7, 2, 12]]
REWARDS = [[1, 0, 1], [1, 1, 0]]
VALUES = frozenset({"values", "next_values"})
KINDS = {
    "own": {},
    "own_bins": {"bins": 5},
    "own_lora": {"lora": LoraSpec(rank=2)},
    "shared": {"backbone": "shared"},
    "shared_bins": {"backbone": "shared", "bins": 5},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def ready(seed=0):
    return annotated(batch(REWARDS, LENGTHS, seed=seed))


def made(folder, kind="own", **options):
    return policy(folder, critic=critic(**KINDS[kind], **options))


def head(of):
    """The output layer of the critic, wherever it is."""
    own = of._critic
    if own is None:
        return of._scorer.value_head
    return own._values.classifier.get_submodule(own._values.head_name)


def error(of, data):
    """Mean squared distance of the values from one."""
    said = of.annotate(batch(REWARDS, LENGTHS), VALUES, 1.0).values[data.action_mask]
    return float(((said - 1) ** 2).mean())


@every_kind
def test_values_speak_of_the_state_before_and_after_each_token(tmp_path, kind):
    ours = made(model_folder(tmp_path), kind)
    torch.manual_seed(1)
    torch.nn.init.normal_(head(ours).weight)
    data = batch(REWARDS, LENGTHS)
    said = ours.annotate(data, VALUES, 1.0)
    acts = data.action_mask
    assert float(said.values[acts].std()) > 0.01
    last = torch.cat([data.seq_ids.diff() != 0, torch.tensor([True])])
    follows = acts & ~last  # the next token is an action of the same sequence
    torch.testing.assert_close(said.next_values[follows], said.values[1:][follows[:-1]])
    assert not said.values[data.position_ids < 2].any()  # the prompt
    # what is said of a state cannot depend on the tokens after it
    cut = batch([[1]], [[3]], prompts=[2])
    whole_values = ours.annotate(cut, VALUES, 1.0)
    longer = cut.token_ids.tolist()
    longer[-1] = (longer[-1] + 1) % 12 + 3
    changed = ours.annotate(cut.replace(token_ids=torch.tensor(longer)), VALUES, 1.0)
    assert torch.equal(changed.values, whole_values.values)
    assert changed.next_values[-1] != whole_values.next_values[-1]


@every_kind
def test_critic_learns_what_it_is_told(tmp_path, kind):
    ours, data = made(model_folder(tmp_path), kind), ready()
    before = error(ours, data)
    metrics = [update(ours, data).numbers() for _ in range(20)]
    assert error(ours, data) < 0.7 * before
    own = kind.startswith("own")
    assert ("critic/grad_norm" in metrics[0]) == own
    if own:
        assert metrics[0]["critic/grad_norm"] > 0
        assert metrics[0]["critic/lr"] == 0.03


def test_a_critic_of_its_own_leaves_the_policy_alone(tmp_path):
    folder = model_folder(tmp_path)
    alone, beside = policy(folder), made(folder)
    for seed in range(2):
        update(alone, ready(seed))
        update(beside, ready(seed))
    for name, tensor in tensors(alone).items():
        assert torch.equal(tensors(beside)[name], tensor), name


def test_a_shared_trunk_learns_from_the_critic_too(tmp_path):
    folder = model_folder(tmp_path)
    alone, sharing = policy(folder), made(folder, "shared")
    torch.nn.init.normal_(head(sharing).weight)
    update(alone, ready())
    update(sharing, ready())
    ours, theirs = tensors(alone), tensors(sharing)
    assert ours.keys() == theirs.keys()  # the head is no part of what engines get
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


@every_kind
@pytest.mark.parametrize("lora", [None, LoraSpec(rank=2)])
def test_in_pretraining_only_the_critic_moves(tmp_path, kind, lora):
    ours = policy(model_folder(tmp_path), critic=critic(**KINDS[kind]), lora=lora)
    policy_before, head_before = tensors(ours), head(ours).weight.detach().clone()
    for seed in range(3):
        assert update(ours, ready(seed), critic_only=True).numbers()["optim/skipped"] == 0
    moved = [n for n, tensor in tensors(ours).items() if not torch.equal(tensor, policy_before[n])]
    assert moved == []
    assert not torch.equal(head(ours).weight, head_before)
    update(ours, ready())
    assert any(not torch.equal(t, policy_before[n]) for n, t in tensors(ours).items())


@every_kind
def test_a_dropped_gradient_leaves_nothing_behind(tmp_path, kind):
    ours, again = made(model_folder(tmp_path), kind), made(tmp_path, kind)
    accumulate(ours, ready(1))
    ours.zero_grad()
    update(ours, ready(0))
    update(again, ready(0))
    assert torch.equal(head(ours).weight, head(again).weight)
    for name, tensor in tensors(again).items():
        assert torch.equal(tensor, tensors(ours)[name]), name


@every_kind
def test_a_resumed_critic_takes_the_same_next_step(tmp_path, kind):
    folder = model_folder(tmp_path / "model")
    ours = made(folder, kind)
    update(ours, ready(0))
    ours.save(tmp_path / "state")
    update(ours, ready(1))
    again = made(folder, kind)
    again.load(tmp_path / "state")
    update(again, ready(1))
    for name, tensor in tensors(ours).items():
        assert torch.equal(tensors(again)[name], tensor), name
    assert torch.equal(head(again).weight, head(ours).weight)
    if kind.startswith("own"):
        for name, tensor in critic_tensors(ours).items():
            assert torch.equal(critic_tensors(again)[name], tensor), name


def test_a_loss_of_the_critic_that_is_not_finite_moves_neither_critic_nor_shared_layers(tmp_path):
    for kind in ("own", "shared"):
        ours = made(model_folder(tmp_path / kind), kind)
        before = head(ours).weight.detach().clone()
        (micro,) = ours.split(ready(), 10_000)
        out = ours.forward(micro, 1.0)
        ours.backward(out.logprobs.sum(), out.values.sum() * float("nan"))
        assert ours.step(0.01, 0.01).numbers()["optim/skipped"] == 1
        assert torch.equal(head(ours).weight, before)


@pytest.mark.parametrize("kind", ["own", "own_lora", "own_bins"])
def test_an_exported_critic_says_the_same_frozen(tmp_path, kind):
    folder = model_folder(tmp_path / "model")
    ours = made(folder, kind)
    update(ours, ready())
    ours.export_critic(tmp_path / "critic")
    bins = {"bins": 5} if kind == "own_bins" else {}
    fixed = policy(folder, critic=CriticSpec(path=str(tmp_path / "critic"), **bins))
    data = batch(REWARDS, LENGTHS)
    ours_say, fixed_says = ours.annotate(data, VALUES, 1.0), fixed.annotate(data, VALUES, 1.0)
    assert ours_say.values.any()
    torch.testing.assert_close(fixed_says.values, ours_say.values, rtol=1e-5, atol=1e-6)
    assert accumulate(fixed, ready()) > 0
    assert "critic/grad_norm" not in fixed.step(0.01).numbers()
    assert torch.equal(fixed.annotate(data, VALUES, 1.0).values, fixed_says.values)
    with pytest.raises(RecipeError, match="trained no separate critic"):
        fixed.export_critic(tmp_path / "again")


def test_microbatches_leave_the_critics_gradient_unchanged(tmp_path):
    folder = model_folder(tmp_path)
    whole, cut = made(folder), made(folder)
    torch.nn.init.ones_(head(whole).weight)
    torch.nn.init.ones_(head(cut).weight)
    assert accumulate(whole, ready(), max_tokens=10_000) == 1
    assert accumulate(cut, ready(), max_tokens=16) == 4
    for ours, theirs in zip(
        whole._critic._values.parameters(), cut._critic._values.parameters(), strict=True
    ):
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-4, atol=1e-5)


def test_a_frozen_critic_without_a_trained_head_is_refused(tmp_path):
    folder = model_folder(tmp_path)
    with pytest.raises(RecipeError, match=r"critic\.path: .* no trained value head: a frozen"):
        policy(folder, critic=CriticSpec(path=str(folder)))


@pytest.mark.parametrize("optimizer", [None, OptimizerSpec(lr=0.1)])
def test_bins_of_another_range_than_the_folders_are_refused(tmp_path, optimizer):
    folder = model_folder(tmp_path / "model")
    made(folder, "own_bins", low=-1.0, high=1.0).export_critic(tmp_path / "critic")
    there = {"path": str(tmp_path / "critic"), "optimizer": optimizer, "bins": 5}
    with pytest.raises(
        RecipeError, match=r"critic\.low: the bins of .* over \(-1\.0, 1\.0\), .*0\.1"
    ):
        policy(folder, critic=CriticSpec(**there))
    policy(folder, critic=CriticSpec(**there, low=-1.0, high=1.0))


def test_a_critic_with_another_vocabulary_is_refused(tmp_path):
    folder, other = model_folder(tmp_path / "ours"), model_folder(tmp_path / "other")
    make_tokenizer("0123456789+-", 128).save_pretrained(other)
    with pytest.raises(RecipeError, match=r"^critic\.path: .* give 12 tokens different ids"):
        policy(folder, critic=critic(path=str(other)))


def test_a_folder_that_is_no_model_is_named_as_the_critics(tmp_path):
    with pytest.raises(RecipeError) as refused:
        policy(model_folder(tmp_path), critic=critic(path=str(tmp_path / "gone")))
    (fault,) = refused.value.faults
    assert fault.path == "critic.path"
    assert fault.what == f"no model folder '{tmp_path / 'gone'}'"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"bins": 1}, "1 bin"),
        ({"bins": 5, "low": 1.0, "high": 0.0}, r"5 bin\(s\) from 1 to 0"),
        ({"backbone": "shared", "optimizer": {"lr": 1e-3}, "path": "x"}, "shared backbone"),
        ({"backbone": "shared"}, "frozen"),
        ({"pretrain_steps": 3}, "frozen"),
        ({"lora": {"rank": 2}}, "frozen"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, what):
    with pytest.raises(ValidationError, match=what):
        CriticSpec.model_validate(settings)


def test_a_policy_that_rested_starts_as_a_fresh_one(tmp_path):
    """AdamW divides by how many steps it has counted; those of rest must not be among them."""
    folder = model_folder(tmp_path)
    weights = []
    for rests in (0, 30):
        ours = policy(folder, critic=critic(backbone="shared"))
        for seed in range(rests):
            accumulate(ours, ready(seed), critic_only=True)
            ours.step(None, 0.0)  # at a rate of 0 the head stays where it is
        for seed in range(3):
            accumulate(ours, ready(seed))
            ours.step(0.01, 0.0)
        weights.append(tensors(ours))
    for name, tensor in weights[0].items():
        assert torch.equal(weights[1][name], tensor), name


def test_without_optimizer_it_is_frozen():
    assert CriticSpec().optimizer is None
    assert CriticSpec(optimizer=OptimizerSpec(lr=0.1)).outputs == 1
