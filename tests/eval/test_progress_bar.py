"""Progress of an evaluation: four lines in a log file."""

from eval.progress_bar import shown, silent


def test_a_log_file_gets_four_lines_over_the_whole_evaluation(capsys):
    with shown("gsm8k") as progress:
        for done in range(1, 251):
            progress(done, 250)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert (lines[0], lines[-1]) == ("gsm8k: 63 of 250 problems", "gsm8k: 250 of 250 problems")


def test_a_short_evaluation_gets_a_line_a_problem(capsys):
    with shown("toy") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "toy: 1 of 2 problems",
        "toy: 2 of 2 problems",
    ]


def test_silence_is_silent(capsys):
    silent(1, 2)
    assert capsys.readouterr() == ("", "")
