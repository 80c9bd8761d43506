import os
import signal

import pytest

from trainer.progress import Progress, StopSignal


def test_counting_goes_on_where_it_was():
    progress = Progress(5)
    progress.load_state_dict({"step": 3, "samples": 9, "tokens": 90, "skipped_in_a_row": 1})
    seen = []
    for step in progress:
        seen.append(step)
        progress.step += 1
    assert seen == [3, 4]
    assert progress.done


def test_a_step_that_was_not_closed_is_our_own_defect():
    with pytest.raises(AssertionError, match="not closed"):
        list(Progress(2))


def test_a_stop_ends_the_counting_between_two_steps():
    progress = Progress(5)
    for _ in progress:
        progress.step += 1
        progress.stopping = True
    assert progress.step == 1 and not progress.done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_a_flag_and_a_second_one_ends_the_process(number):
    with StopSignal().watching() as stop:
        os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
