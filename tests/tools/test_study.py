"""A study's arithmetic by hand, its ledger, and one real study of two arms."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from tests.support.runs import ROOT, environment, tiny_base
from tools.study import outcomes, train_missing
from tools.study_runs import Arm, Done, Ledger, Outcome, Plan, Point, missing, read_outcome
from tools.study_table import draw, summarise, table, words
from trainer.loggers.jsonl import read_metrics

SCORE = "eval/sums/pass@1"


def written(folder: Path, *lines: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def step(number: int, tokens: float, **more: object) -> dict[str, object]:
    """A line of a training step whose reward is a tenth of its number, its entropy a hundredth."""
    line = {"rollout/tokens": tokens, "rollout/reward": number / 10}
    return {"step": number, **line, "policy/entropy": number / 100, **more}


def outcome(score: float, *, entropy: float = 0.1, tokens: int = 100) -> Outcome:
    start = Point(step=0, tokens=0, score=0.25)
    end = Point(step=4, tokens=tokens, score=score)
    return Outcome(
        curve=(start, end), end=end, entropy=entropy, reward_before=0.3, reward_after=0.6,
        non_finite=0,
    )  # fmt: skip


def done(arm: str, seed: int, *, stopped: str = "", cpu_s: float = 10.0) -> Done:
    return Done(arm=arm, seed=seed, digest="abc", stopped=stopped, cpu_s=cpu_s)


def test_an_arm_is_a_preset_with_the_settings_behind_its_name():
    arm = Arm.parse("dapo  shaping.0.limit=40 shaping.0.buffer=8")
    assert arm.label == "dapo shaping.0.limit=40 shaping.0.buffer=8"
    assert Path(arm.fragment) == ROOT / "recipes" / "algorithms" / "dapo.yaml"
    assert arm.overrides == ("shaping.0.limit=40", "shaping.0.buffer=8")
    assert arm.slug == "dapo_shaping.0.limit_40_shaping.0.buffer_8"


def test_an_arm_may_be_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("advantage: {name: rloo}\n")
    assert Arm.parse(str(file)).fragment == str(file.resolve())


def test_an_unknown_arm_is_named():
    with pytest.raises(RecipeError, match="no recipe file 'grop'"):
        Arm.parse("grop")


def test_tokens_add_up_over_the_steps_and_the_end_is_the_last_evaluation(tmp_path):
    folder = written(
        tmp_path,
        {"step": 0, SCORE: 0.2},
        step(1, 30),
        step(2, 40, **{SCORE: 0.5}),
        step(3, 50),
        step(4, 60, **{SCORE: 0.7}),
    )
    found = read_outcome(folder, SCORE)
    assert [(p.step, p.tokens, p.score) for p in found.curve] == [
        (0, 0, 0.2), (2, 70, 0.5), (4, 180, 0.7),
    ]  # fmt: skip
    assert found.start.score == 0.2 and found.end == found.curve[-1]
    assert found.entropy == pytest.approx((0.01 + 0.02 + 0.03 + 0.04) / 4)


@pytest.mark.parametrize(("budget", "end"), [(179, 2), (180, 4), (70, 2), (69, 0), (9999, 4)])
def test_a_budget_is_read_at_the_last_evaluation_within_it(tmp_path, budget, end):
    folder = written(
        tmp_path,
        {"step": 0, SCORE: 0.2},
        step(1, 30),
        step(2, 40, **{SCORE: 0.5}),
        step(3, 50),
        step(4, 60, **{SCORE: 0.7}),
    )
    assert read_outcome(folder, SCORE, budget).end.step == end


def test_the_reward_is_that_of_the_first_five_steps_and_of_the_last_ten(tmp_path):
    steps = [step(n, 1) for n in range(1, 13)]
    folder = written(tmp_path, {"step": 0, SCORE: 0.2}, *steps, step(13, 1, **{SCORE: 0.9}))
    found = read_outcome(folder, SCORE)
    assert found.reward_before == pytest.approx(0.3)  # 0.1 to 0.5
    assert found.reward_after == pytest.approx(0.85)  # 0.4 to 1.3
    within = read_outcome(folder, SCORE, budget=12)
    assert within.end.step == 0  # no evaluation in between: nothing was reached yet
    assert math.isnan(within.reward_after)


def test_a_step_in_which_the_policy_rests_has_no_entropy(tmp_path):
    resting = {"step": 1, "rollout/tokens": 5, "rollout/reward": 0.4}
    folder = written(tmp_path, {"step": 0, SCORE: 0.2}, resting, step(2, 5, **{SCORE: 0.3}))
    found = read_outcome(folder, SCORE)
    assert found.entropy == pytest.approx(0.02)
    assert found.reward_before == found.reward_after == pytest.approx(0.3)  # 0.4 and 0.2


def test_values_that_are_not_finite_and_skipped_updates_are_counted(tmp_path):
    folder = written(
        tmp_path,
        {"step": 0, SCORE: 0.2},
        step(1, 1, **{"loss/total": "NaN", "optim/grad_norm": "Infinity", "optim/skipped": 1.0}),
        step(2, 1, **{SCORE: 0.3, "optim/skipped": 0.0}),
    )
    assert read_outcome(folder, SCORE).non_finite == 3


def test_a_run_without_the_score_is_an_error_that_says_what_to_set(tmp_path):
    folder = written(tmp_path, step(1, 10), step(2, 10, **{SCORE: 0.3}))
    with pytest.raises(RecipeError, match="no 'eval/other/pass@1' to read"):
        read_outcome(folder, "eval/other/pass@1")
    with pytest.raises(RecipeError, match=r"within 15 tokens.*evaluate\.0\.every"):
        read_outcome(folder, SCORE, budget=15)


def test_differences_are_taken_seed_by_seed():
    runs = {
        "grpo": {0: outcome(0.5), 1: outcome(0.7), 2: outcome(0.9)},
        "bapo": {0: outcome(0.6), 1: outcome(0.8), 2: outcome(1.0)},
    }
    ledger = {(arm, seed): done(arm, seed) for arm in runs for seed in range(3)}
    first, second = summarise(runs, ledger)
    # standard deviation 0.2, t of 2 degrees 4.303: 4.303 * 0.2 / sqrt(3) = 0.497
    assert words(first.score) == "0.700 [0.203, 1.197]"
    assert first.difference is None
    assert words(second.score) == "0.800 [0.303, 1.297]"
    assert second.difference is not None
    assert words(second.difference, sign="+") == "+0.100 [+0.100, +0.100]"


def test_a_line_carries_what_a_reader_must_know():
    runs = {"kl_cov": {0: outcome(0.5, tokens=100), 1: outcome(0.7, entropy=0.3, tokens=300)}}
    ledger = {
        ("kl_cov", 0): done("kl_cov", 0, cpu_s=20.0),
        ("kl_cov", 1): done("kl_cov", 1, cpu_s=40.0, stopped="too few groups"),
    }
    [line] = summarise(runs, ledger)
    assert (line.seeds, line.stopped, line.non_finite) == (2, 1, 0)
    assert (line.tokens, line.steps, line.cpu_s) == (200, 4, 30)
    assert line.entropy.value == pytest.approx(0.2)
    console = Console(record=True, width=240, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table([line], SCORE, "a title"))
    text = console.export_text()
    assert "| kl_cov |     2 |  0.250 | 0.600 [" in text
    assert all(row.startswith("|") for row in text.splitlines()[1:] if row.strip())


def test_a_single_seed_is_a_number_without_an_interval():
    [line] = summarise({"grpo": {0: outcome(0.5)}}, {("grpo", 0): done("grpo", 0)})
    assert math.isnan(line.score.low)
    assert words(line.score) == "0.500"


def test_a_picture_is_drawn_of_few_and_of_many_arms(tmp_path):
    for count in (2, 12):
        runs = {f"arm {n}": {0: outcome(0.5), 1: outcome(0.6)} for n in range(count)}
        path = draw(runs, SCORE, "a title", tmp_path / f"{count}.png")
        assert path.read_bytes().startswith(b"\x89PNG")


def smoke_plan(tmp_path: Path, *overrides: str) -> Plan:
    model = (f"model.path={tmp_path / 'base'}", "steps=2", *overrides)
    return Plan(recipe=ROOT / "recipes" / "smoke" / "grpo.yaml", overrides=model, out=tmp_path)


def test_the_seed_is_that_of_sampling_and_of_the_problems(tmp_path):
    settings = smoke_plan(tmp_path).settings(Arm.parse("rloo group_size=2"), 3)
    assert {"seed=3", "problems.seed=3", "steps=2"} < set(settings)
    assert settings[-1] == "group_size=2"


def test_what_is_done_is_not_run_again_and_seeds_come_whole(tmp_path):
    plan, arms = smoke_plan(tmp_path), [Arm.parse("grpo"), Arm.parse("rloo")]
    found = [(arm.label, seed) for arm, seed in missing(plan, arms, range(2), Ledger(tmp_path))]
    assert found == [("grpo", 0), ("rloo", 0), ("grpo", 1), ("rloo", 1)]
    kept = Done(arm="rloo", seed=0, digest=plan.digest(arms[1], 0), stopped="", cpu_s=1.0)
    Ledger(tmp_path).add(kept)
    again = Ledger(tmp_path)  # read from its file
    assert again.done == {("rloo", 0): kept}
    found = [(arm.label, seed) for arm, seed in missing(plan, arms, range(2), again)]
    assert found == [("grpo", 0), ("grpo", 1), ("rloo", 1)]


def test_a_run_of_other_settings_is_refused(tmp_path):
    arm, ledger = Arm.parse("rloo"), Ledger(tmp_path)
    digest = smoke_plan(tmp_path).digest(arm, 0)
    ledger.add(Done(arm="rloo", seed=0, digest=digest, stopped="", cpu_s=1.0))
    with pytest.raises(RecipeError, match="'rloo' with seed 0 was run with other settings"):
        missing(smoke_plan(tmp_path, "optimizer.lr=2e-3"), [arm], range(1), ledger)


def test_a_mistake_in_an_arm_is_found_before_any_run(tmp_path):
    arms = [
        Arm.parse("grpo"),
        Arm.parse("kl_cov minibatches=1"),
    ]  # kl_cov wants several updates a step
    with pytest.raises(RecipeError, match="set minibatches to 2 or more"):
        train_missing(smoke_plan(tmp_path), arms, range(1), Ledger(tmp_path), 1)
    assert not (tmp_path / "grpo" / "seed_0").exists()


@pytest.mark.slow
def test_a_study_of_two_arms_runs_resumes_and_reads_its_budget(tmp_path):
    tiny_base(tmp_path / "base")
    out = tmp_path / "study"
    evaluation = "[{suite: sums, every: 1, samples: 2, overrides: {problems: {source: {size: 4}}, "
    evaluation += "sampling: {max_tokens: 8}}}]"
    options = ["--arm", "grpo", "--arm", "rloo group_size=2", "--seeds", "1", "--out", str(out)]
    sets = [f"model.path={tmp_path / 'base'}", f"evaluate={evaluation}"]
    command = [sys.executable, "-m", "tools.study", "smoke/grpo", *options]
    command += [word for override in sets for word in ("--set", override)]

    def study(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more],
            cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    first = study()
    assert first.returncode == 0, first.stderr
    assert "2 runs to make, 0 are done" in first.stderr
    assert "| rloo group_size=2 |" in first.stdout
    assert (out / "study.png").exists()
    metrics = [m for _, m in read_metrics(out / "grpo" / "seed_0" / "metrics.jsonl")]
    tokens = [int(m.get("rollout/tokens", 0)) for m in metrics]
    assert len(tokens) == 3 and tokens[1] > 0
    assert not (out / "grpo" / "seed_0" / "checkpoints").exists()

    again = study("--tokens", str(tokens[1]))
    assert again.returncode == 0, again.stderr
    assert "0 runs to make, 2 are done" in again.stderr
    plan = Plan(recipe=ROOT / "recipes" / "smoke" / "grpo.yaml", overrides=tuple(sets), out=out)
    found = outcomes(plan, [Arm.parse("grpo")], range(1), SCORE, tokens[1])
    assert (found["grpo"][0].end.step, found["grpo"][0].end.tokens) == (1, tokens[1])
