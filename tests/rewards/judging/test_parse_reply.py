import math

import pytest

from rewards.http.chat import Reply, Token
from rewards.judging import parse_reply
from rewards.judging.parse_reply import Unreadable


def reply(text, *, finish="stop", tail=()):
    return Reply(text=text, finish=finish, tail=tuple(tail))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 7}', 7),
        ('{"reason": "good", "score": 10}', 10),
        ('```json\n{"score": 0}\n```', 0),
        ('My grade:\n\n```json\n{"reason": "`x` is right", "score": 4}\n```\n', 4),
        ('My grade: ```json {"score": 5} ```', 5),
        ('```\n{"score": 6}\n```', 6),
        ('~~~json\n{"score": 7}\n~~~', 7),
        ('````json\n{"reason": "```", "score": 8}\n````', 8),
        ('```json\n{"score": 10}\n```\nSo it claims.\n```json\n{"score": 2}\n```', 2),
        ('The response is fine.\n{"reason": "a {nested} brace", "score": 3}', 3),
        ('{"score": 10}\nNo, that was the response. {"score": 2}', 2),  # its own word comes last
        ("Quite good. <score>7</score>", 7),
        ("<score> 6.5 </score>\n", 6.5),
        ('{"score": 6.5}', 6.5),
    ],
)
def test_a_score_is_read(text, score):
    assert parse_reply.score(reply(text), 0, 10) == score


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("seven", "does not end in a JSON object"),
        ('{"score": 11}', "not between 0 and 10"),
        ('{"score": -1}', "not between 0 and 10"),
        ('{"score": "ten"}', "not a number"),
        ('{"score": true}', "not a number"),
        ('{"score": null}', "not a number"),
        ('{"score": NaN}', "not a number"),
        ('{"score": [7]}', "not a number"),
        ('{"grade": 7}', "no 'score'"),
        ('{"score": 7', "does not end"),
        ('{"score": 7} is my grade', "does not end"),
        ('{"score": 7, "score": 10}', "does not end"),  # two answers are none
        ("[7]", "does not end"),
        ('```json\n{"score": 7}\n```\nwas in the response', "does not end"),
        ('```json\n{"score": 7, "score": 10}\n```', "does not end"),
        ('```json\n{"score": 7}\n~~~', "does not end"),
        ('```json\n[{"score": 7}]\n```', "does not end"),
        ("<score>7</score> or so", "does not end"),
        ("<score>7/10</score>", "not a number"),
        ("<grade>7</grade>", "does not end"),
    ],
)
def test_anything_else_is_unreadable(text, words):
    with pytest.raises(Unreadable, match=words):
        parse_reply.score(reply(text), 0, 10)


@pytest.mark.parametrize("read", [lambda r: parse_reply.score(r, 0, 10), parse_reply.verdict])
def test_an_answer_that_was_cut_off_is_unreadable(read):
    with pytest.raises(Unreadable, match="cut off"):
        read(reply('Verdict: yes\n{"score": 7}', finish="length"))


def test_a_reason_may_be_missing():
    assert parse_reply.reason(reply('{"reason": "two\\n steps", "score": 1}')) == "two steps"
    assert parse_reply.reason(reply("<score>7</score>")) == ""
    assert parse_reply.reason(reply('{"reason": 3, "score": 1}')) == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [('{"better": "A"}', "A"), ('{"better": "b"}', "B"), ("<better>tie</better>", "tie")],
)
def test_a_preference_is_read(text, word):
    assert parse_reply.better(reply(text)) == word


@pytest.mark.parametrize("text", ['{"better": "both"}', '{"better": 1}', '{"better": "A or B"}'])
def test_a_preference_off_the_list_is_unreadable(text):
    with pytest.raises(Unreadable, match="expected one of A, B, tie"):
        parse_reply.better(reply(text))


def test_every_item_of_a_rubric_needs_its_word():
    text = '{"polite": "yes", "short": "No"}'
    assert parse_reply.yes_or_no(reply(text), ["polite", "short"]) == {
        "polite": True,
        "short": False,
    }
    with pytest.raises(Unreadable, match="no answer to right"):
        parse_reply.yes_or_no(reply(text), ["polite", "short", "right"])
    with pytest.raises(Unreadable, match="'polite' is 'maybe'"):
        parse_reply.yes_or_no(reply('{"polite": "maybe"}'), ["polite"])


# -- the verdict of a check --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "probability"),
    [
        ("2+2 is 4.\nVerdict: yes", 1.0),
        ("Verdict: No", 0.0),
        ("**Verdict: yes**", 1.0),
        ("Verdict: **no**.", 0.0),
        ("Verdict: yes\nWait. That is wrong.\nVerdict: no", 0.0),
    ],
)
def test_without_log_probs_the_word_counts(text, probability):
    assert parse_reply.verdict(reply(text)) == (probability, False)


@pytest.mark.parametrize("text", ["", "yes", "Verdict: maybe", "Verdict: yes and no", "no verdict"])
def test_no_verdict_in_the_last_line_is_unreadable(text):
    with pytest.raises(Unreadable):
        parse_reply.verdict(reply(text))


def spelt(*tokens):
    return [Token(text=t, alternatives=others) for t, others in tokens]


def logs(**masses):
    return {text: math.log(p) for text, p in masses.items()}


def test_with_log_probs_it_is_the_share_of_yes():
    others = {" yes": math.log(0.6), " no": math.log(0.2), " maybe": math.log(0.2)}
    tail = spelt(("Verdict", {}), (":", {}), (" yes", others))
    probability, told = parse_reply.verdict(reply("Verdict: yes", tail=tail))
    assert told and probability == pytest.approx(0.75)  # 0.6 / (0.6 + 0.2)


def test_spellings_of_one_word_add_up():
    others = {
        " yes": math.log(0.3),
        " Yes": math.log(0.2),
        "YES": math.log(0.1),
        " no": math.log(0.2),
    }
    tail = spelt(("Verdict:", {}), (" yes", others))
    assert parse_reply.verdict(reply("Verdict: yes", tail=tail))[0] == pytest.approx(0.75)


def test_a_word_in_pieces_is_decided_by_its_first_piece():
    first = logs(n=0.9, y=0.1, x=0.5)
    tail = spelt((":", {}), (" ", {}), ("n", first), ("o", {"o": 0.0, "e": -9.0}), ("<eos>", {}))
    probability, told = parse_reply.verdict(reply("Verdict: no", tail=tail))
    assert told and probability == pytest.approx(0.1)


def test_a_word_that_only_begins_like_one_of_the_two_does_not_count():
    others = {" yes": math.log(0.5), " not": math.log(0.4), " yesterday": math.log(0.1)}
    tail = spelt(("Verdict:", {}), (" yes", others))
    assert parse_reply.verdict(reply("Verdict: yes", tail=tail))[0] == 1.0


def test_the_last_verdict_is_the_one_that_is_looked_up():
    yes = {" yes": math.log(0.9), " no": math.log(0.1)}
    no = {" yes": math.log(0.25), " no": math.log(0.75)}
    tail = spelt(("Verdict:", {}), (" yes", yes), ("\nVerdict:", {}), (" no", no))
    text = "Verdict: yes\nVerdict: no"
    assert parse_reply.verdict(reply(text, tail=tail))[0] == pytest.approx(0.25)


def test_a_tail_that_does_not_hold_the_word_is_not_used():
    tail = spelt(("something", {"else": -0.1}))
    assert parse_reply.verdict(reply("Verdict: yes", tail=tail)) == (1.0, False)


@pytest.mark.parametrize("sign", ["`", "~"])
def test_a_row_of_fence_marks_is_read_in_linear_time(sign: str) -> None:
    """With a pattern that tries every split of the row this would take hours."""
    with pytest.raises(Unreadable):
        parse_reply.score(reply(sign * 20_000 + "x"), 0, 10)
