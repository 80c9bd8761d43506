import os
import signal

import pytest

from trainer.monitor import progress
from trainer.monitor.progress import Progress, StopSignal


def test_counting_goes_on_where_it_was():
    counter = Progress(5)
    counter.load_state_dict({"step": 3, "samples": 9, "tokens": 90, "skipped_in_a_row": 1})
    seen = []
    for step in counter:
        seen.append(step)
        counter.step += 1
    assert seen == [3, 4]
    assert counter.done


def test_a_step_that_was_not_closed_is_our_own_defect():
    with pytest.raises(AssertionError, match="not closed"):
        list(Progress(2))


def test_a_stop_ends_the_counting_between_two_steps():
    counter = Progress(5)
    for _ in counter:
        counter.step += 1
        counter.stopping = True
    assert counter.step == 1 and not counter.done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_a_flag_and_says_so(number, capfd):
    with StopSignal().watching() as stop:
        os.kill(os.getpid(), number)
        assert stop.asked
    assert "stopping at the end of this step" in capfd.readouterr().err


def test_a_signal_that_a_launcher_sent_twice_is_one_request():
    with StopSignal().watching() as stop:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stop.asked


def test_a_later_ctrl_c_ends_the_process(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    with StopSignal().watching():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
