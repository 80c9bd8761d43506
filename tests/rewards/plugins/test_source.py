import threading

import pytest

from rewards.audit.definitions import definitions, whole_hash
from rewards.plugins.source import PARSING, look_at_source


@pytest.mark.parametrize("read", ["a plug-in's names", "its definitions", "its hash"])
def test_files_are_parsed_by_one_thread_at_a_time_whoever_reads_them(tmp_path, read):
    file = tmp_path / "mine.py"
    file.write_text("def score(response):\n    return 1.0\n")
    parse = {
        "a plug-in's names": lambda: look_at_source(f"{file}:score"),
        "its definitions": lambda: definitions([file]),
        "its hash": lambda: whole_hash(file),
    }[read]
    reader = threading.Thread(target=parse)
    with PARSING:
        reader.start()
        reader.join(timeout=0.3)
        assert reader.is_alive()
    reader.join(timeout=60)
    assert not reader.is_alive()
