"""The policy in one process: annotate, split, forward, backward, step, publish, save."""

import json

import pytest
import torch

from recipes.errors import RecipeError
from tests.support.builders import annotated, batch
from tests.support.policies import LEARNING_RATE, accumulate, model_folder, policy, tensors, update
from trainer.models.tiny import make_tokenizer
from trainer.parallel.ranks import Processes
from trainer.policy.policy import Policy
from trainer.recipe.sections import LoraSpec, ModelSpec

LORA = LoraSpec(rank=2)
LENGTHS = [[3, 20, 1], [7, 2, 12]]
REWARDS = [[1, 0, 1], [1, 1, 0]]


def ready(seed=0):
    return annotated(batch(REWARDS, LENGTHS, seed=seed))


def gradient(of: Policy) -> dict[str, torch.Tensor]:
    trained = of._scorer.causal_lm.named_parameters()
    return {name: p.grad.clone() for name, p in trained if p.grad is not None}


def outputs(of: Policy, data):
    """Log-probs and entropy of the whole batch in one forward pass."""
    (micro,) = of.split(data, 10_000)
    with torch.no_grad():
        return micro, of.forward(micro, 1.0)


def test_logprobs_are_the_softmax_of_the_logits_at_the_temperature(tmp_path):
    ours = policy(model_folder(tmp_path))
    data = batch([[1]], [[4]])
    said = ours.annotate(data, frozenset({"old_logprobs", "entropy"}), 0.5)
    with torch.no_grad():
        logits = ours._scorer.causal_lm(input_ids=data.token_ids[None]).logits[0, 1:-1] / 0.5
    logs = logits.log_softmax(dim=1)
    expected = logs.gather(1, data.token_ids[2:, None]).squeeze(1)
    torch.testing.assert_close(said.old_logprobs[2:], expected, rtol=1e-5, atol=1e-5)
    entropy = -(logs.exp() * logs).sum(dim=1)
    torch.testing.assert_close(said.entropy[2:], entropy, rtol=1e-5, atol=1e-5)
    assert said.old_logprobs[:2].tolist() == [0.0, 0.0]  # the prompt


def test_annotations_do_not_depend_on_how_the_batch_is_cut(tmp_path):
    folder = model_folder(tmp_path)
    needs = frozenset({"old_logprobs", "entropy"})
    data = batch(REWARDS, LENGTHS)
    whole = policy(folder, max_tokens=10_000).annotate(data, needs, 1.0)
    cut = policy(folder, max_tokens=10).annotate(data, needs, 1.0)
    for name in needs:
        torch.testing.assert_close(cut.tensors()[name], whole.tensors()[name], rtol=1e-5, atol=1e-5)


def test_annotations_equal_the_forward_pass(tmp_path):
    ours = policy(model_folder(tmp_path), max_tokens=10_000)
    data = ready()
    said = ours.annotate(batch(REWARDS, LENGTHS), frozenset({"old_logprobs"}), 1.0)
    micro, out = outputs(ours, data)
    order = torch.argsort(micro.sample_ids)  # the microbatch is sorted by length
    same = micro.replace(old_logprobs=out.logprobs).select(order)
    torch.testing.assert_close(same.old_logprobs, said.old_logprobs)


def test_nothing_is_computed_that_nobody_needs(tmp_path):
    data = batch()
    said = policy(model_folder(tmp_path)).annotate(data, frozenset({"pass_rates"}), 1.0)
    assert said is data


def test_microbatch_split_leaves_the_gradient_unchanged(tmp_path):
    folder = model_folder(tmp_path)
    whole, cut = policy(folder), policy(folder)
    assert accumulate(whole, ready(), max_tokens=10_000) == 1
    assert accumulate(cut, ready(), max_tokens=16) == 4
    expected = gradient(whole)
    for name, found in gradient(cut).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-5)


def test_sequences_without_weight_leave_the_gradient_unchanged(tmp_path):
    folder = model_folder(tmp_path)
    data = ready()
    quiet = data.replace(
        loss_weights=torch.where(data.seq_ids == 1, 0.0, data.loss_weights),
        term_weights=torch.zeros_like(data.term_weights),
    )
    left_out, put_in = policy(folder), policy(folder)
    assert sum(m.num_sequences for m in left_out.split(quiet, 1000)) == 5
    accumulate(left_out, quiet)
    # A weight of 1e-38 keeps the sequence and adds nothing.
    tiny = torch.where(data.seq_ids == 1, 1e-38, quiet.loss_weights)
    accumulate(put_in, quiet.replace(loss_weights=tiny))
    expected = gradient(put_in)
    for name, found in gradient(left_out).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-6)


def test_minibatch_without_trained_tokens_still_takes_a_step(tmp_path):
    ours = policy(model_folder(tmp_path), weight_decay=0.0)
    data = ready()
    none = torch.zeros_like(data.loss_weights)
    silent = data.replace(loss_weights=none, term_weights=none[:, None])
    before = tensors(ours)
    micros = ours.split(silent, 100)
    assert [m.num_sequences for m in micros] == [0]
    numbers = update(ours, silent).numbers()
    assert (numbers["optim/grad_norm"], numbers["optim/skipped"]) == (0.0, 0.0)
    after = tensors(ours)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_gradient_checkpointing_leaves_the_gradient_unchanged(tmp_path):
    folder = model_folder(tmp_path)
    plain, thrifty = policy(folder), policy(folder, gradient_checkpointing=True)
    accumulate(plain, ready())
    accumulate(thrifty, ready())
    expected = gradient(plain)
    for name, found in gradient(thrifty).items():
        torch.testing.assert_close(found, expected[name])


def test_gradient_is_scaled_to_the_norm_it_may_have(tmp_path):
    folder = model_folder(tmp_path)
    loose = policy(folder, max_grad_norm=1e6, weight_decay=0.0)
    tight = policy(folder, max_grad_norm=1e-3, weight_decay=0.0)
    accumulate(loose, ready())
    norm = torch.stack([g.norm() for g in gradient(loose).values()]).norm()
    for ours in (loose, tight):
        found = ours.step(LEARNING_RATE) if ours is loose else update(ours, ready())
        assert found.numbers()["optim/grad_norm"] == pytest.approx(float(norm), rel=1e-5)
    start = tensors(policy(folder))
    moved = {
        name: float(sum((tensors(ours)[n] - start[n]).abs().sum() for n in start))
        for name, ours in (("loose", loose), ("tight", tight))
    }
    assert moved["tight"] < moved["loose"] / 100


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_moves_nothing_and_the_next_step_is_sound(tmp_path, bad):
    folder = model_folder(tmp_path)
    hurt, well = policy(folder), policy(folder)
    before = tensors(hurt)
    numbers = update(hurt, ready(), spoil=bad).numbers()
    assert numbers["optim/skipped"] == 1.0
    assert "optim/grad_norm" not in numbers
    assert all(torch.equal(before[name], found) for name, found in tensors(hurt).items())
    update(hurt, ready(1))
    update(well, ready(1))
    expected = tensors(well)
    assert all(torch.equal(expected[name], found) for name, found in tensors(hurt).items())


def test_infinite_loss_with_a_finite_gradient_is_skipped_too(tmp_path):
    ours = policy(model_folder(tmp_path))
    (micro,) = ours.split(ready(), 1000)
    total = (ours.forward(micro, 1.0).logprobs * micro.loss_weights).sum()
    ours.backward(total + float("inf"))
    assert ours.step(LEARNING_RATE).numbers()["optim/skipped"] == 1.0


def test_bf16_learns_by_steps_far_below_its_resolution(tmp_path):
    # Below 1 bf16 knows steps of 0.004; one of at most 0.001 is lost, but thirty must add up.
    ours = policy(model_folder(tmp_path), dtype="bfloat16", weight_decay=0.0)
    moved = []
    for _ in range(30):
        accumulate(ours, ready())
        ours.step(1e-3)
        moved.append(int((tensors(ours)["model.norm.weight"] != 1).sum()))
    assert moved[0] == 0
    assert moved[-1] > 0


def test_reference_is_the_first_policy_while_the_policy_moves(tmp_path):
    ours = policy(model_folder(tmp_path), needs=frozenset({"ref_logprobs"}))
    data, both = batch(REWARDS, LENGTHS), frozenset({"ref_logprobs", "old_logprobs"})
    before = ours.annotate(data, both, 1.0)
    assert torch.equal(before.ref_logprobs, before.old_logprobs)
    update(ours, ready())
    after = ours.annotate(data, both, 1.0)
    assert torch.equal(after.ref_logprobs, before.ref_logprobs)
    assert not torch.allclose(after.old_logprobs, before.old_logprobs)


def test_reference_of_an_adapter_is_the_model_without_it(tmp_path):
    folder = model_folder(tmp_path)
    data = batch(REWARDS, LENGTHS)
    base = policy(folder).annotate(data, frozenset({"old_logprobs"}), 1.0).old_logprobs
    ours = policy(folder, lora=LORA, needs=frozenset({"ref_logprobs"}))
    update(ours, ready())
    update(ours, ready(1))  # the first update moves B only off zero, the second moves A too
    both = ours.annotate(data, frozenset({"ref_logprobs", "old_logprobs"}), 1.0)
    torch.testing.assert_close(both.ref_logprobs, base, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(both.old_logprobs, base)
    assert len(gradient_names(ours)) == 28  # the adapter trains on: 2 layers, 7 matrices, A and B


def gradient_names(of):
    accumulate(of, ready())
    return list(gradient(of))


def test_dropout_of_the_adapter_acts_in_training_only(tmp_path):
    ours = policy(model_folder(tmp_path), lora=LoraSpec(rank=2, dropout=0.5))
    for seed in range(3):
        update(ours, ready(seed))
    needs = frozenset({"old_logprobs"})
    data = batch(REWARDS, LENGTHS)
    one, other = ours.annotate(data, needs, 1.0), ours.annotate(data, needs, 1.0)
    assert torch.equal(one.old_logprobs, other.old_logprobs)
    _, first = outputs(ours, ready())
    _, second = outputs(ours, ready())
    assert not torch.equal(first.logprobs, second.logprobs)


def test_merge_keeps_counts_over_one_process(tmp_path):
    ours = policy(model_folder(tmp_path))
    metrics = update(ours, ready())
    assert ours.merge(metrics).numbers() == metrics.numbers()
    assert metrics.numbers()["optim/lr"] == LEARNING_RATE


@pytest.mark.parametrize("options", [{}, {"lora": LORA}, {"dtype": "bfloat16"}])
def test_resumed_policy_takes_the_same_next_step(tmp_path, options):
    folder = model_folder(tmp_path / "model")
    ours = policy(folder, **options)
    update(ours, ready())
    ours.save(tmp_path)
    update(ours, ready(1))
    again = policy(folder, **options)
    again.load(tmp_path)
    update(again, ready(1))
    expected = tensors(ours)
    assert all(torch.equal(expected[name], found) for name, found in tensors(again).items())


def test_resumed_policy_draws_the_same_dropout(tmp_path):
    folder = model_folder(tmp_path / "model")
    lora = LoraSpec(rank=2, dropout=0.5)
    ours = policy(folder, lora=lora)
    update(ours, ready())
    ours.save(tmp_path)
    update(ours, ready(1))
    expected = tensors(ours)
    again = policy(folder, lora=lora)
    again.load(tmp_path)
    update(again, ready(1))
    assert all(torch.equal(expected[name], found) for name, found in tensors(again).items())


def test_checkpoint_of_another_layout_of_ranks_is_refused(tmp_path):
    ours = policy(model_folder(tmp_path / "model"))
    ours.save(tmp_path)
    (tmp_path / "layout.json").write_text('{"zero": 2, "processes": 4}')
    with pytest.raises(RecipeError, match="'zero': 2, 'processes': 4"):
        ours.load(tmp_path)


def test_whole_replicas_are_read_by_any_number_of_ranks(tmp_path):
    ours = policy(model_folder(tmp_path / "model"))
    ours.save(tmp_path)
    assert json.loads((tmp_path / "layout.json").read_text()) == {"zero": 0}


def test_a_teacher_is_asked_about_the_policys_samples_at_their_temperature(tmp_path):
    ours, theirs = model_folder(tmp_path / "ours"), model_folder(tmp_path / "theirs", seed=1)
    data, asked = batch(REWARDS, LENGTHS), frozenset({"teacher_logprobs"})
    taught = policy(ours, fixed={"teacher": ModelSpec(path=str(theirs), context_length=128)})
    itself = policy(theirs)
    expected = itself.annotate(data, frozenset({"old_logprobs"}), 0.7).old_logprobs
    torch.testing.assert_close(taught.annotate(data, asked, 0.7).teacher_logprobs, expected)
    alone = policy(ours).annotate(data, frozenset({"old_logprobs"}), 1.0).old_logprobs
    assert not torch.allclose(expected, alone)


def test_a_teacher_with_another_vocabulary_is_refused(tmp_path):
    ours, theirs = model_folder(tmp_path / "ours"), model_folder(tmp_path / "theirs")
    make_tokenizer("0123456789+-", 128).save_pretrained(theirs)
    with pytest.raises(RecipeError, match=r"teacher\.path: .* give 12 tokens different ids, '-'"):
        policy(ours, fixed={"teacher": ModelSpec(path=str(theirs), context_length=128)})


def test_a_teacher_that_is_no_model_is_named_as_the_teachers(tmp_path):
    gone = ModelSpec(path=str(tmp_path / "gone"), context_length=128)
    with pytest.raises(RecipeError, match=r"^teacher\.path: no model folder"):
        policy(model_folder(tmp_path), fixed={"teacher": gone})


def test_a_teacher_whose_head_does_something_unknown_is_refused(tmp_path):
    heads = {
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "v_head_dim": 8,
        "num_key_value_heads": 4,
    }
    ranks = {"q_lora_rank": 16, "kv_lora_rank": 16}
    # its logits are those of a quarter of the hidden state
    theirs = model_folder(tmp_path / "theirs", "minicpm3", dim_model_base=8, **heads, **ranks)
    with pytest.raises(RecipeError, match=r"^teacher\.path: MiniCPM3ForCausalLM .* differ from"):
        policy(
            model_folder(tmp_path / "ours"),
            fixed={"teacher": ModelSpec(path=str(theirs), context_length=128)},
        )


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_draws_its_own_dropout(tmp_path, monkeypatch, rank):
    cpu = torch.device("cpu")
    ours = Processes(rank=rank, world_size=2, device=cpu, group=None)
    monkeypatch.setattr(Processes, "start", lambda _: ours)
    policy(model_folder(tmp_path))
    assert torch.initial_seed() == 1 + rank  # the adapter's weights were drawn with 0 on every rank
