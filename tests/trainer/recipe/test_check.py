"""Rules that tie an algorithm's slots together; each refuses one recipe and lets its cure pass."""

from pathlib import Path

import pytest

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import load
from trainer.recipe.check import check, notes
from trainer.recipe.config import read

DEBIAS = "shaping: [{name: debias_reward, false_positive: 0.1, false_negative: 0.2}]\n"
KL_COV = "terms: [{name: kl_cov}]\n"
REINFORCE = "advantage: {name: reinforce}\n"
ERROR_RATE = (
    "shaping: [{name: debias_reward, false_positive: 0.0,"
    " false_negative: {name: verifier_error_rate, of: false_negative}}]\n"
    + "advantage: {name: reinforce}\n"
)
DOUBLE_CHECKED = "verifier: {name: double_checked, first: exact, second: numeric}\n"
TWO = "minibatches: 2\n"
TOKENS = "reduction: {name: token_mean}\n"
GSPO = "loss: {name: gspo}\n"
LEARNS = "critic: {optimizer: {lr: 1e-3}}\n"
FROZEN = "critic: {path: values}\n"
GAE = "advantage: {name: gae}\n"
ERROR = "terms: [{name: value_loss}]\n"
BINS = "terms: [{name: value_hl_gauss, low: 0.0, high: 1.0}]\n"
CLASSIFIES = "critic: {bins: 51, low: 0.0, high: 1.0, optimizer: {lr: 1e-3}}\n"
DISTILLS = "terms: [{name: teacher_kl}]\n"
TEACHER = "teacher: {path: teacher}\n"
BY_TURNS = "advantage: {name: stratified}\n"
BY_CALLS = "advantage: {name: stratified, by: calls}\n"
SUMS = "evaluate:\n  - {suite: sums}\n"


def checked(folder: Path, settings: str) -> None:
    file = folder / "run.yaml"
    file.write_text(f"extends: [smoke/grpo.yaml]\n{settings}")
    loaded = load(file)
    check(read(loaded), loaded)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (DEBIAS, r"run\.yaml:2: shaping\.0: debias_reward is cancelled by grpo"),
        (KL_COV, r"run\.yaml:2: terms\.0: kl_cov does nothing on the first update"),
        (
            ERROR_RATE,
            r"run\.yaml:2: shaping\.0\.false_negative: verifier_error_rate estimates nothi",
        ),
        (GSPO + TOKENS, r"run\.yaml:2: loss: gspo has one value for a sample"),
        (
            "advantage: {name: pass_at_k, k: 4}\n",
            r"run\.yaml:2: advantage\.k: pass_at_k counts sets of 4 samples out of a group of 4",
        ),
        (
            "selections: [{name: max_variance, keep: 4}]\n",
            r"run\.yaml:2: selections\.0\.keep: max_variance keeps 4 samples of a group of 4",
        ),
        (
            "evaluate:\n  - {suite: summs}\n",
            r"run\.yaml:3: evaluate\.0: suite summs: no suite called 'summs'.*mean 'sums'",
        ),
        (
            SUMS + "  - {suite: sums, overrides: {k: [99]}}\n",
            r"run\.yaml:4: evaluate\.1: suite sums: k: pass@99 cannot be estimated from 16",
        ),
        (
            "evaluate:\n  - {suite: sums, sampling: {max_tokens: 64}}\n",
            r"run\.yaml:3: evaluate\.0: sums draws up to 64 tokens, which leaves no room",
        ),
        (
            SUMS + "  - {suite: sums, every: 5}\n",
            r"run\.yaml:4: evaluate\.1: evaluate\.0 is called sums too",
        ),
        (GAE, r"run\.yaml:2: advantage: gae needs values, .*; add a critic: section"),
        (DISTILLS, r"terms\.0: teacher_kl needs teacher_logprobs, .*; add a teacher: section"),
        (
            FROZEN,
            r"run\.yaml:2: critic: there is a critic, and no function .* reads next_values or",
        ),
        (TEACHER, r"run\.yaml:2: teacher: there is a teacher, and no function"),
        (LEARNS + GAE, r"critic\.optimizer: the critic has an optimizer, and no term trains it"),
        (
            FROZEN + GAE + ERROR,
            r"run\.yaml:4: terms\.0: value_loss trains the critic, and .* frozen",
        ),
        ("critic: {}\n" + GAE, r"run\.yaml:2: critic: a frozen critic initialised from the p"),
        (LEARNS + BINS, r"value_hl_gauss trains a critic of bins, and critic\.bins is 0"),
        (CLASSIFIES + ERROR, r"value_loss trains a critic of one number, and critic\.bins is 51"),
        (
            CLASSIFIES.replace("1.0", "2.0") + BINS,
            r"value_hl_gauss spreads returns over \(0\.0, 1\.0\), the critic's bins over \(0\.0, 2",
        ),
        (
            "critic: {optimizer: {lr: 1e-3}, pretrain_steps: 3}\n" + ERROR,
            r"critic\.pretrain_steps: 3 steps for the critic alone, in a run of 2",
        ),
        (BY_TURNS, r"run\.yaml:2: advantage: stratified by turns equals grpo: .*single_turn"),
        (
            "shaping: [{name: kl_penalty}]\nterms: [{name: kl_k2, coef: 0.1}]\n",
            r"terms: KL is penalised in the reward \(kl_penalty\) and in the loss \(kl_k2\)",
        ),
        (
            "shaping: [{name: kl_penalty}]\nterms: [{name: chi2, coef: 0.1}]\n",
            r"terms: KL is penalised in the reward \(kl_penalty\) and in the loss \(chi2\)",
        ),
    ],
)
def test_a_combination_that_cannot_work_is_refused(tmp_path: Path, settings: str, fault: str):
    with pytest.raises(RecipeError, match=fault):
        checked(tmp_path, settings)


@pytest.mark.parametrize(
    "settings",
    [
        DEBIAS + REINFORCE,
        ERROR_RATE + DOUBLE_CHECKED,
        ERROR_RATE
        + "verifier: {name: weighted, components: {answer: {name: double_checked, first: exact,"
        " second: numeric}}}\n",
        KL_COV + TWO,
        GSPO,
        "advantage: {name: pass_at_k, k: 3}\n",
        BY_CALLS,
        "selections: [{name: max_variance, keep: 3}]\n",
        "terms: [{name: kl_k2, coef: 0.01}]\n",
        "shaping: [{name: kl_penalty}]\nterms: [{name: kl_k2, coef: 0.1, to: old}]\n" + TWO,
        LEARNS + GAE + ERROR,
        LEARNS + ERROR,  # learns beside another advantage, to be looked at
        FROZEN + GAE,
        FROZEN + "advantage: {name: dvpo}\n",
        CLASSIFIES + BINS,
        TEACHER + DISTILLS,
        SUMS + "  - {suite: sums, samples: 1, overrides: {name: sums_once, k: [1]}}\n",
    ],
)
def test_its_cure_passes(tmp_path: Path, settings: str):
    checked(tmp_path, settings)


def noted(folder: Path, settings: str) -> str:
    file = folder / "run.yaml"
    file.write_text(f"extends: [smoke/grpo.yaml]\ngroups_per_step: 4\n{settings}")
    return "\n".join(notes(read(load(file))))


def test_a_clip_that_cannot_act_is_said(tmp_path: Path):
    assert "loss: the clip of gspo cannot act" in noted(tmp_path, GSPO)
    assert noted(tmp_path, GSPO + TWO) == ""
    assert noted(tmp_path, "loss: {name: importance_sampling}\n") == ""
