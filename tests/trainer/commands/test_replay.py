"""A recorded step under the recipe that recorded it is itself; under another loss it is not."""

import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from tests.support.runs import launch, numbers, smoke, tiny_base
from trainer.commands.replay import replay
from trainer.commands.replay_report import plain, report, table
from trainer.commands.replay_step import Compared, GradientPair, Side
from trainer.recipe.config import differences

PNG = b"\x89PNG\r\n\x1a\n"


def test_differences_are_dotted_paths() -> None:
    left = {"loss": {"name": "ppo_clip", "clip_low": 0.2}, "terms": [], "steps": 3}
    right = {"loss": {"name": "ppo_clip", "clip_low": 0.1}, "terms": [{"name": "x"}], "steps": 3}
    assert list(differences(left, right)) == ["loss.clip_low", "terms"]
    assert list(differences(left, left)) == []


def compared(*updates: GradientPair, ledger: dict[str, int] | None = None) -> Compared:
    side = Side(ledger=ledger or {"trained": 4}, metrics={"loss/clip_low_frac": 0.25}, entropy=0.5)
    return Compared(step=3, updates=updates, entropy_before=0.75, recorded=side, variant=side)


def test_the_updates_of_a_step_are_compared_end_to_end() -> None:
    # (3, 0) and (0, 4) recorded, (3, 0) and (4, 0) under the variant: the rows [3 0 0 4] and
    # [3 0 4 0] have norm 5 each and the product 9
    found = compared(
        GradientPair(dot=9, recorded=3, variant=3), GradientPair(dot=0, recorded=4, variant=4)
    ).total
    assert (found.recorded, found.variant, found.ratio) == (5, 5, 1)
    assert found.cosine == pytest.approx(9 / 25)


def test_a_gradient_of_zero_has_no_direction() -> None:
    nothing = GradientPair(dot=0, recorded=2, variant=0)
    assert math.isnan(nothing.cosine)
    assert nothing.ratio == 0
    (step,) = plain([compared(nothing)], [])["steps"]
    assert step["cosine"] is None and step["updates"][0]["cosine"] is None


def test_the_table_shows_both_sides_of_a_step() -> None:
    shown = Console(width=120)
    both = compared(GradientPair(dot=1, recorded=1, variant=1), ledger={"masked": 1, "trained": 3})
    with shown.capture() as text:
        shown.print(table([both], ["masks=[completed_only]"]))
    assert "masks=[completed_only]" in text.get()
    assert text.get().count("3 trained, 1 masked") == 2
    assert text.get().count("-0.2500") == 2  # entropy


def test_a_run_without_recordings_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"record\.every"):
        replay(tmp_path, [])


@pytest.mark.slow
def test_a_recorded_run_is_replayed(tmp_path: Path) -> None:
    base, run = tiny_base(tmp_path / "base"), tmp_path / "run"
    settings = smoke(base, run, steps=3, minibatches=2, record__every=1, checkpoint__keep=1,
                     terms="[{name: kl_k3, coef: 0.1}]", optimizer__lr=0.01)  # fmt: skip
    assert (done := launch(settings)).returncode == 0, done.stderr

    same = replay(run, [])
    assert [step.step for step in same] == [0, 1, 2]
    logged = [metrics for _, metrics in numbers(run)]
    for step, metrics in zip(same, logged, strict=True):
        assert len(step.updates) == 2
        for update in step.updates:
            assert update.recorded > 0
            assert update.recorded == update.variant
            assert update.cosine == pytest.approx(1, abs=1e-12)
        mean = sum(update.recorded for update in step.updates) / 2
        assert mean == pytest.approx(metrics["optim/grad_norm"], rel=1e-4)
        for name in ("loss/clip_low_frac", "policy/entropy", "term/kl_k3"):
            assert step.recorded.metrics[name] == pytest.approx(metrics[name], abs=1e-6)
        assert step.recorded == step.variant
        assert step.recorded.entropy != step.entropy_before
        # a group whose four rewards happen to agree teaches nothing, and which one does so
        # depends on the machine's arithmetic
        assert set(step.recorded.ledger) <= {"trained", "zero_signal"}
        assert sum(step.recorded.ledger.values()) == 16
        assert step.recorded.ledger["trained"] > 0

    (other,) = replay(run, ["loss=importance_sampling", "terms=[]", "optimizer.lr=0"], [2])
    assert other.total.cosine < 0.9999
    assert other.total.recorded == pytest.approx(same[2].total.recorded)
    assert other.variant.entropy == pytest.approx(other.entropy_before)
    assert "term/kl_k3" not in other.variant.metrics

    report([other], ["loss=importance_sampling"], tmp_path / "out", Console(quiet=True))
    (step,) = json.loads((tmp_path / "out" / "replay.json").read_text())["steps"]
    assert step["cosine"] == other.total.cosine
    assert (tmp_path / "out" / "replay.png").read_bytes().startswith(PNG)

    refuses_other_samples(run)
    drops_whole_groups(run)


def refuses_other_samples(run: Path) -> None:
    with pytest.raises(RecipeError, match=r"group_size.*train another run"):
        replay(run, ["group_size=8"])
    with pytest.raises(RecipeError, match="greedy_rewards"):
        replay(run, ["advantage=remax"])
    with pytest.raises(RecipeError, match=r"step 9 .* was not recorded; recorded: 0, 1, 2"):
        replay(run, [], [9])


def drops_whole_groups(run: Path) -> None:
    """Eight tokens are the limit, so a filter on truncation drops whatever reached it."""
    for step in replay(run, ["filters=[drop_truncated]"]):
        ledger = dict(step.variant.ledger)
        assert sum(ledger.values()) == 16
        trained = ledger.pop("trained", 0)
        assert trained < 16 and trained % 4 == 0
        assert ledger == {"truncated": 16 - trained}


@pytest.mark.slow
def test_a_resumed_run_records_what_it_would_have_recorded(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert launch(smoke(base, whole, steps=3, record__every=1)).returncode == 0
    assert launch(smoke(base, parts, steps=2, record__every=1)).returncode == 0
    (parts / "rollouts" / "step_000002.json").write_text("of a step that was killed")
    again = launch(smoke(base, parts, steps=3, record__every=1), resume=True)
    assert again.returncode == 0, again.stderr
    for step in range(3):
        name = f"step_{step:06d}.json"
        assert (whole / "rollouts" / name).read_bytes() == (parts / "rollouts" / name).read_bytes()
