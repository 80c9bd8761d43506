from rollout.types import Status
from tests.support.builders import batch
from trainer.masks.completed_only import completed_only


def test_a_cut_sample_does_not_learn():
    cut = [[Status.COMPLETED, Status.TRUNCATED_TOKENS, Status.ERROR_ENGINE]]
    of = batch([[1, 0, 0]], [[2, 2, 1]], prompts=[1], statuses=cut)
    assert completed_only(of).tolist() == [False, True, True] + [False] * 5
