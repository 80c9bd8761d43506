"""Two real processes do what one does, under every ZeRO stage: same gradient, same update."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError

from tests.support.policies import model_folder
from trainer.parallel.ranks import Processes
from trainer.recipe.sections import ShardingSpec

HERE = Path(__file__).resolve().parent
LORA = {"lora": {"rank": 4}}
BF16 = {"dtype": "bfloat16"}
OWN = {"critic": {}}  # a second model
SHARED = {"critic": {"backbone": "shared"}}
ADAPTED = {"critic": {"lora": {"rank": 4}}}
CASES = {
    **{f"zero{stage}": {"zero": stage} for stage in range(4)},
    **{f"zero{stage}_offload": {"zero": stage, "offload": "cpu"} for stage in (1, 2, 3)},
    **{f"zero{stage}_lora": {"zero": stage, **LORA} for stage in (0, 2, 3)},
    "zero3_lora_checkpointing": {"zero": 3, "gradient_checkpointing": True, **LORA},
    "zero0_bf16": {"zero": 0, **BF16},
    "zero2_bf16": {"zero": 2, **BF16},
    "zero2_bf16_offload": {"zero": 2, "offload": "cpu", **BF16},
    "zero3_bf16": {"zero": 3, **BF16},
    **{f"zero{stage}_critic": {"zero": stage, **OWN} for stage in (0, 2, 3)},
    **{f"zero{stage}_shared_critic": {"zero": stage, **SHARED} for stage in (2, 3)},
    **{f"zero{stage}_lora_critic": {"zero": stage, **LORA, **ADAPTED} for stage in (2, 3)},
}
ALONE = {
    "full": {},
    "lora": LORA,
    "bf16": BF16,
    "critic": OWN,
    "shared_critic": SHARED,
    "lora_critic": {**LORA, **ADAPTED},
    "zero3": {"zero": 3},
}
ROUNDING = 2e-6
# DeepSpeed multiplies by another kernel under zero 3, so bf16 results are rounded elsewhere.
LOOSE = {"zero3_bf16": 0.01}


@functools.cache
def outcomes(processes: int) -> dict:
    """Every case's results, from one launch of `sharding_child.py`."""
    folder = Path(tempfile.mkdtemp())
    model = model_folder(folder / "model")
    cases = json.dumps(ALONE if processes == 1 else CASES)
    command = [sys.executable, str(HERE / "sharding_child.py"), str(model)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *launcher, *command[1:]]
    done = subprocess.run(
        [*command, str(folder / "results.pt"), cases],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return torch.load(folder / "results.pt")


def pair(case):
    """A case's outcome on two processes, and that of the same training on one."""
    kinds = ("shared_critic", "lora_critic", "critic", "lora", "bf16")
    kind = next((kind for kind in kinds if kind in case), "full")
    two = outcomes(2)[case]
    assert not isinstance(two, str), two  # a traceback
    return two, outcomes(1)[kind]


def has_own_critic(case):
    return "critic" in case and "shared" not in case


every_case = pytest.mark.parametrize("case", CASES)


@pytest.mark.slow
@every_case
def test_gradient_norm_is_that_of_one_process(case):
    two, one = pair(case)
    measured = ["optim/grad_norm", *(["critic/grad_norm"] if has_own_critic(case) else [])]
    for name in measured:
        norms = [
            [step[name] for step in run["metrics"] if not step["optim/skipped"]]
            for run in (two, one)
        ]
        assert len(norms[0]) == 3
        assert norms[0] == pytest.approx(norms[1], rel=max(ROUNDING, LOOSE.get(case, 0)))


@pytest.mark.slow
@every_case
def test_updated_weights_are_those_of_one_process(case):
    two, one = pair(case)
    for when in ("unclipped", "clipped"):
        assert two["weights"][when].keys() == one["weights"][when].keys()
        for name, weight in two["weights"][when].items():
            expected = one["weights"][when][name]
            allowed = max(ROUNDING, LOOSE.get(case, 0))
            torch.testing.assert_close(weight, expected, rtol=0, atol=allowed)


@pytest.mark.slow
@every_case
def test_step_spoilt_on_one_rank_is_skipped_on_all(case):
    two, _ = pair(case)
    assert [step["optim/skipped"] for step in two["metrics"]] == [0, 1 + has_own_critic(case), 0, 0]
    assert two["unmoved"]["skipped"] == two["unmoved"]["all"]


@pytest.mark.slow
@every_case
def test_loaded_checkpoint_takes_the_same_next_step(case):
    two, _ = pair(case)
    assert two["unmoved"]["resumed"] == two["unmoved"]["all"]
    assert len(two["unmoved"]["step"]) < len(two["unmoved"]["all"])  # it is a step that moves


@pytest.mark.slow
@every_case
def test_every_rank_is_told_all_annotations(case):
    two, one = pair(case)
    for name, values in two["annotations"].items():
        allowed = 0.2 if "bf16" in case else 1e-5
        torch.testing.assert_close(values, one["annotations"][name], rtol=0, atol=allowed)
    assert two["heard_alike"]


@pytest.mark.slow
@every_case
def test_module_is_lent_only_where_weights_are_whole(case):
    two, _ = pair(case)
    assert two["shared"] == (CASES[case]["zero"] < 3)


@pytest.mark.slow
@every_case
def test_adapter_is_gathered_and_saved(case):
    two, one = pair(case)
    assert ("lora" in case) == (two["adapter"] is not None)
    for name, tensor in (two["adapter"] or {}).items():
        torch.testing.assert_close(tensor, one["adapter"][name], rtol=0, atol=ROUNDING)


@pytest.mark.slow
def test_zero_runs_in_a_process_that_nobody_launched():
    alone = outcomes(1)
    assert not isinstance(alone["zero3"], str), alone["zero3"]
    expected = alone["full"]["weights"]["clipped"]
    for name, weight in alone["zero3"]["weights"]["clipped"].items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=ROUNDING)


def test_offload_without_zero_is_refused():
    with pytest.raises(ValidationError, match="set zero to 1, 2 or 3"):
        ShardingSpec(offload="cpu")


def test_one_process_talks_to_itself():
    alone = Processes.start(ShardingSpec())
    assert (alone.rank, alone.world_size, alone.is_main) == (0, 1, True)
    assert alone.broadcast("x") == "x"
    assert alone.gather("x") == ["x"]
    assert alone.sum(torch.tensor([2.0])).tolist() == [2.0]


def test_a_process_that_nobody_launched_is_a_group_of_one_without_messages(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")  # what `start` sets, so that it is taken back
    monkeypatch.delenv("LOCAL_RANK")  # a launcher would have set it
    ours = Processes.start(ShardingSpec(zero=1))
    try:
        assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
        assert (ours.rank, ours.world_size, ours.group, ours.heartbeat) == (0, 1, None, None)
    finally:
        dist.destroy_process_group()
