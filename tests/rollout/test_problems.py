import asyncio
import contextlib
import json

import pytest
from pydantic import ValidationError

from recipes.errors import RecipeError
from rewards.types import Message, Verdict
from rewards.verifiers import verifier
from rollout.problems import ProblemsSpec, check_gold, drop_overlong, load_problems
from tests.support.builders import CharacterRenderer, problem


def spec(folder, rows, **settings):
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"name": "dataset", "path": str(path), **settings.pop("source", {})}
    return ProblemsSpec.model_validate({"source": source, **settings})


ROWS = [{"id": "a", "prompt": "1+1?", "answer": "2"}, {"id": "b", "prompt": "2+2?", "answer": 4}]


def test_a_row_becomes_a_problem(tmp_path):
    first, second = load_problems(spec(tmp_path, [{**ROWS[0], "level": 3}, ROWS[1]]))
    assert first == problem("a", prompt="1+1?", answer="2", columns={"level": 3})
    assert second.answer == "4"


def test_template_and_system_prompt_surround_the_question(tmp_path):
    settings = {
        "system_prompt": "Be short.",
        "template": "{prompt} Answer in \\boxed{}.",
    }
    first, _ = load_problems(spec(tmp_path, ROWS, **settings))
    assert first.messages == (
        Message(role="system", content="Be short."),
        Message(role="user", content="1+1? Answer in \\boxed{}."),
    )


BY_ROW = {"name": "by_row", "named": {"maths": "exact", "code": "exact"}}
MIXED = [
    {"prompt": "1+1?", "answer": "2", "kind": "maths"},
    {"prompt": "f", "answer": "2", "kind": "coed"},
    {"prompt": "g", "answer": "2", "kind": None},
]


def test_rows_name_the_verifier_that_judges_them(tmp_path):
    source = {"columns": {"verifier": "kind"}}
    first, _ = load_problems(spec(tmp_path, MIXED[:2], source=source))
    assert (first.verifier, first.columns) == ("maths", {})


def test_a_verifier_that_there_is_not_is_refused_with_its_line(tmp_path):
    mixed = spec(tmp_path, MIXED, source={"columns": {"verifier": "kind"}})
    with pytest.raises(RecipeError) as caught:
        load_problems(mixed, verifier.bind(BY_ROW))
    unknown, unnamed = map(str, caught.value.faults)
    assert "data.jsonl:2: verifier: the row asks for the verifier 'coed', which" in unknown
    assert unknown.endswith("did you mean 'code'? (known: code, maths)")
    assert "data.jsonl:3: verifier: the row names no verifier" in unnamed
    assert (
        len(
            load_problems(
                mixed,
                verifier.bind(
                    {**BY_ROW, "named": {"maths": "exact", "coed": "exact"}, "otherwise": "exact"}
                ),
            )
        )
        == 3
    )


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("exact", {""}),
        ({"name": "by_row", "named": {"maths": "exact"}}, {"maths"}),
        ({"name": "by_row", "named": {"maths": "exact"}, "otherwise": "numeric"}, {"maths", ""}),
        (
            {
                "name": "weighted",
                "components": {
                    "a": {"name": "by_row", "named": {"maths": "exact", "code": "exact"}},
                    "b": {"name": "by_row", "named": {"maths": "numeric"}, "otherwise": "exact"},
                },
            },
            {"maths"},
        ),
    ],
)
def test_a_row_may_name_what_every_verifier_that_chooses_by_row_has(entry, names, tmp_path):
    accepted = set()
    for name in ("", "maths", "code"):
        row = {"prompt": "1+1?", "answer": "2", "kind": name}
        one = spec(tmp_path, [row], source={"columns": {"verifier": "kind"}})
        with contextlib.suppress(RecipeError):
            load_problems(one, verifier.bind(entry))
            accepted.add(name)
    assert accepted == names


def test_a_name_is_refused_where_one_verifier_judges_all(tmp_path):
    mixed = spec(tmp_path, MIXED, source={"columns": {"verifier": "kind"}})
    with pytest.raises(RecipeError, match=r"'maths', which has no entry; name them .*by_row"):
        load_problems(mixed, verifier.bind("exact"))


def test_the_template_goes_around_the_last_message(tmp_path):
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "1+1?"},
    ]
    [one] = load_problems(
        spec(tmp_path, [{"prompt": turns, "answer": "2"}], template="Q: {prompt}")
    )
    assert [m.content for m in one.messages] == ["hi", "hello", "Q: 1+1?"]


def test_two_system_prompts_are_refused(tmp_path):
    turns = [{"role": "system", "content": "x"}, {"role": "user", "content": "1+1?"}]
    one = spec(tmp_path, [{"prompt": turns, "answer": "2"}], system_prompt="y")
    with pytest.raises(RecipeError, match=r"data\.jsonl:1: system_prompt: .*sets another"):
        load_problems(one)


def test_a_repeated_id_names_both_places(tmp_path):
    with pytest.raises(RecipeError, match=r"data\.jsonl:2: the id 'a' was used before.*:1"):
        load_problems(spec(tmp_path, [ROWS[0], {**ROWS[1], "id": "a"}]))


def test_a_sources_fault_is_placed_under_source(tmp_path):
    with pytest.raises(RecipeError, match=r"^source\.columns\.prompt: "):
        load_problems(spec(tmp_path, ROWS, source={"columns": {"prompt": "question"}}))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"template": "no place for it"}, "template"),
        ({"gold_response": "nor here"}, "gold_response"),
        ({"max_prompt_tokens": 0}, "max_prompt_tokens"),
        ({"templte": "{prompt}"}, "templte"),
        ({"source": "datast"}, "did you mean 'dataset'"),
        ({"source": {"name": "dataset"}}, "needs this option"),
    ],
)
def test_a_wrong_setting_is_refused(settings, match):
    source = {"name": "dataset", "path": "x.jsonl"}
    with pytest.raises(ValidationError, match=match):
        ProblemsSpec.model_validate({"source": source, **settings})


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ({"name": "dataset", "path": "openai/gsm8k"}, False),
        ({"name": "dataset", "path": "x.jsonl"}, True),
        ({"name": "sums", "size": 2}, True),
    ],
)
def test_a_spec_knows_whether_it_needs_a_network(source, local):
    assert ProblemsSpec.model_validate({"source": source}).is_local == local


def test_overlong_prompts_leave_and_are_reported():
    problems = [problem("a", prompt="12345"), problem("b", prompt="123456"), problem("c")]
    fitting = drop_overlong(problems, CharacterRenderer(), 5)
    assert [p.id for p in fitting.problems] == ["a", "c"]
    assert fitting.dropped == ("b",)
    assert fitting.report == (
        "1 of 3 prompts are longer than max_prompt_tokens and were left out "
        "(longest: 6 tokens; first: b)"
    )
    assert drop_overlong(problems, CharacterRenderer(), 6).report == ""


def test_no_prompt_that_fits_is_an_error():
    with pytest.raises(RecipeError, match="no prompt has at most 3 tokens; the shortest has 4"):
        drop_overlong([problem()], CharacterRenderer(), 3)


async def boxed(asked, response):
    """Accepts the boxed answer, unless it is 13."""
    right = response == f"\\boxed{{{asked.answer}}}" and asked.answer != "13"
    return Verdict.binary(right, reason="not it")


def gold(answers, **settings):
    one = ProblemsSpec.model_validate({"source": {"name": "sums", "size": 1}, **settings})
    problems = [problem(str(i), answer=answer) for i, answer in enumerate(answers)]
    return asyncio.run(check_gold(problems, boxed, one))


def test_gold_answers_are_verified_formatted_and_bare():
    report = gold(["1", "2", "13", ""])
    assert (report.checked, report.skipped, report.bare_failed) == (3, 1, 3)
    [failure] = report.failures
    assert (failure.id, failure.answer, failure.response) == ("2", "13", "\\boxed{13}")
    assert report.fail_frac == pytest.approx(1 / 3)
    assert report.report == ("gold answers: 3 checked, 1 rows have none; 1 are not accepted")


def test_too_many_failing_gold_answers_refuse_the_run_with_examples():
    report = gold(["13", "1"])
    report.refuse_above(0.5)
    with pytest.raises(RecipeError) as caught:
        report.refuse_above(0.49)
    summary, example = caught.value.faults
    assert summary.path == "gold_response"
    assert "1 of 2 gold answers do not pass their own verifier" in summary.what
    assert "'13'" in example.what
    assert "not it" in example.what


def test_a_wrong_gold_response_fails_everything():
    assert gold(["1", "2"], gold_response="#{answer}").fail_frac == 1.0


def test_a_sample_of_the_problems_is_checked_the_same_one_each_time():
    answers = ["13" if i % 3 == 0 else "1" for i in range(60)]
    first, second = gold(answers, gold_sample=20), gold(answers, gold_sample=20)
    assert first.checked == 20
    assert [f.id for f in first.failures] == [f.id for f in second.failures]
    assert gold(answers, gold_sample=0).checked == 0
    assert gold(answers, gold_sample=0).fail_frac == 0.0
