import asyncio

import pytest

from rewards.background import background
from rewards.http.endpoint import EndpointFailed
from rewards.http.reply_cache import Answers, content_hash, keep_answers_in


class Source:
    """Gives 1, 2, 3, ... after a moment, and counts."""

    def __init__(self, *, fails=False):
        self.calls = 0
        self.fails = fails

    async def fetch(self):
        self.calls += 1
        value = self.calls
        await asyncio.sleep(0.02)
        if self.fails:
            raise EndpointFailed("away")
        return value


def ask(folder, key, source, *, times=1):
    """(reply, was kept) of `times` questions at once."""

    async def one():
        return await Answers.of(str(folder)).reply(key, source.fetch)

    async def all_of_them():
        work = (background().run(one()) for _ in range(times))
        return await asyncio.gather(*work, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_an_answer_is_fetched_once(tmp_path):
    source = Source()
    assert ask(tmp_path, "a", source) == [(1, False)]
    assert ask(tmp_path, "a", source) == [(1, True)]
    assert ask(tmp_path, "b", source) == [(2, False)]


def test_equal_questions_at_the_same_time_share_one_fetch(tmp_path):
    source = Source()
    found = ask(tmp_path, "a", source, times=5)
    assert source.calls == 1
    assert sorted(found) == [(1, False)] + [(1, True)] * 4


def test_a_failure_is_everybodys_and_is_not_kept(tmp_path):
    source = Source(fails=True)
    assert all(isinstance(f, EndpointFailed) for f in ask(tmp_path, "a", source, times=3))
    assert source.calls == 1
    assert ask(tmp_path, "a", Source()) == [(1, False)]


def test_answers_outlive_the_process(tmp_path):
    ask(tmp_path, "a", Source())
    background().close()  # what the end of a process does
    assert ask(tmp_path, "a", Source(fails=True)) == [(1, True)]


def test_without_a_folder_answers_go_to_the_runs_own(tmp_path):
    keep_answers_in(tmp_path / "run")
    try:
        ask("", "a", Source())
        assert (tmp_path / "run" / "answers.sqlite").is_file()
    finally:
        keep_answers_in(None)
    assert ask("", "a", Source(fails=True)) != [(1, True)]


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "answers.sqlite").write_text("not a database, " * 20)
    [failed] = ask(tmp_path, "a", Source())
    assert isinstance(failed, EndpointFailed) and "answers.sqlite" in str(failed)


def test_a_cancelled_caller_does_not_stop_what_others_wait_for(tmp_path):
    source = Source()

    async def one():
        return await Answers.of(str(tmp_path)).reply("a", source.fetch)

    async def run():
        first = asyncio.create_task(background().run(one()))
        await asyncio.sleep(0.005)
        second = asyncio.create_task(background().run(one()))
        await asyncio.sleep(0.005)
        first.cancel()
        return await second

    assert asyncio.run(run())[0] == 1
    assert source.calls == 1


@pytest.mark.parametrize(
    "change", [{"model": "b"}, {"seed": 1}, {"messages": ["hj"]}, {"extra": None}]
)
def test_every_part_of_a_question_is_in_its_key(change):
    question = {"model": "a", "seed": 0, "messages": ["hi"]}
    assert content_hash({**question, **change}) != content_hash(question)


def test_the_order_of_keys_does_not_matter():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
