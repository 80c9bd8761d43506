"""What is left of a server: its log, its cause of death, and a key that nobody can read."""

import subprocess
import sys

from rollout.engines.vllm_remote.launch import Child, environment

ENDED = """(APIServer pid=7) WARNING something is deprecated
(EngineCore pid=8) ERROR 11-21 [core.py:12] EngineCore failed to start.
(EngineCore pid=8) ERROR 11-21 [core.py:12] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-21 [core.py:12] ValueError: No available memory for the cache blocks.
"""
POINTS_BACK = "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause."


def child(log, begin=0):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Child(
        url="http://127.0.0.1:1", command=("vllm", "--port 1"), process=process, log=log,
        begin=begin,
    )  # fmt: skip


def test_the_first_error_is_quoted_however_far_above_it_is(tmp_path):
    log = tmp_path / "server-0.log"
    log.write_text(ENDED + "  File x, line 1\n" * 300 + POINTS_BACK + "\n")
    said = child(log).end
    assert "first error: (EngineCore pid=8) ERROR 11-21 [core.py:12] ValueError: No avail" in said
    assert said.count("File x") == 19 and f"| {POINTS_BACK}" in said
    assert f"log: {log}" in said and "$ vllm '--port 1'" in said


def test_a_line_that_only_points_at_another_is_not_the_cause(tmp_path):
    log = tmp_path / "server-0.log"
    log.write_text(f"{POINTS_BACK}\n{ENDED}")
    assert "first error: (EngineCore pid=8) ERROR 11-21 [core.py:12] ValueError" in child(log).end


def test_the_log_of_an_earlier_server_is_kept_and_not_quoted(tmp_path):
    log = tmp_path / "server-0.log"
    log.write_text("TypeError: of yesterday\n")
    begin = log.stat().st_size
    with log.open("a") as file:
        file.write(ENDED)
    assert "yesterday" not in child(log, begin).end
    assert "ValueError" in child(log, begin).end


def test_the_key_travels_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "of the user")
    assert environment("", tmp_path, "drawn")["VLLM_API_KEY"] == "drawn"
    assert environment("", tmp_path)["VLLM_API_KEY"] == "of the user"
