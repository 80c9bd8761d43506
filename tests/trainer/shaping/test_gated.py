from tests.support.builders import batch
from trainer.shaping.gated import gated

EXAMPLES = [{"components": ["format", "style"]}]


def test_step_rewards_count_where_the_outcome_reached_the_gate():
    of = batch([[1, 0.5, 0]], components={"format": [[0.25, 0.25, 0.25]], "style": [[0.5, 0, 0.5]]})
    assert gated(of, components=["format", "style"]).tolist() == [1.75, 0.75, 0]
    assert gated(of, components=["format", "style"], strict=True).tolist() == [1.75, 0.5, 0]


def test_a_penalty_is_not_hidden_by_failing():
    of = batch([[1, 0]], components={"format": [[-0.25, -0.25]]})
    assert gated(of, components=["format"]).tolist() == [0.75, -0.25]
    assert gated(of, components=["format"], gate_penalties=True).tolist() == [0.75, 0]


def test_a_missing_component_adds_nothing():
    of = batch([[1, 1]], components={"format": [[0.25, float("nan")]]})
    assert gated(of, components=["format"]).tolist() == [1.25, 1]
