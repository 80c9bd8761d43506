import asyncio
import os
import re
import subprocess
import sys

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import call_on_run_start, function_of
from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.plugins import STRANGERS, ask, entry, slow


@slow
def test_the_shortest_plugin_gives_a_number():
    right, wrong = ask("equal", "2", "3")
    assert (right.reward, right.correct) == (1.0, True)
    assert (wrong.reward, wrong.correct, wrong.is_missing) == (0.0, False, False)


@slow
def test_a_verdict_comes_back_whole():
    verdict = ask("of_problem", "x", options={"bonus": 0.25})
    assert (verdict.reward, verdict.correct, verdict.answer) == (1.25, True, "x")
    assert verdict.components == {"bonus": 0.25}


@slow
def test_correct_from_a_stated_reward_on():
    verdicts = ask("later", "123", "1234", correct_at=4.0)
    assert [(v.reward, v.correct) for v in verdicts] == [(3, False), (4, True)]


@slow
def test_a_failure_of_one_of_several_is_missing():
    assert ask(["equal", "raises"], "2", correct="equal").is_missing


@slow
def test_a_class_is_set_up_once_and_keeps_its_state():
    verdicts = ask("Counting", "a", "b", "c", options={"step": 0.5}, workers=1)
    assert [v.reward for v in verdicts] == [0.5, 1.0, 1.5]


@slow
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("raises", r"strangers.py:\d+: raised ZeroDivisionError: division by zero \(strangers.py:"),
        ("not_a_number", "the reward is nan"),
        ("words", r"strangers.py:\d+: returned str 'good', expected a number, a Verdict or None"),
        ("two_rewards", r"returned 2 rewards for 1 response"),
        ("a_number", r"returned float 1.0, expected a list of 1 for 1 response"),
        ("no_score", r"returned a mapping without 'score'"),
        ("needs_column", r"needs 'rubric', which is not a column of the row \(answer, wanted\)"),
        ("dies", "the worker died: exit status 3"),
        ("quits", "the worker died: exit status 3"),
        ("Unwilling", "raised OSError: no such server"),
        ("nothing", "no function was for this sample"),
    ],
)
def test_what_goes_wrong_costs_the_sample_and_says_why(function, reason):
    verdict = ask(function, "2")
    assert verdict.is_missing
    assert re.search(reason, verdict.reason), verdict.reason


@slow
def test_a_hang_ends_at_the_deadline_and_the_next_sample_is_scored():
    bad, good = ask("hangs", "2", deadline_s=0.3), ask("equal", "2")
    assert bad.is_missing
    assert "no result within 0.3 s" in bad.reason
    assert good.correct


@slow
def test_secrets_stay_out_unless_named(monkeypatch):
    monkeypatch.setenv("SERVICE_API_KEY", "hush")
    monkeypatch.setenv("OTHER_TOKEN", "hush")
    seen = ask("environment", "x").reason.split()
    assert "PATH" in seen and not {"SERVICE_API_KEY", "OTHER_TOKEN"} & set(seen)
    named = ask("environment", "x", environment=["SERVICE_API_KEY"]).reason.split()
    assert "SERVICE_API_KEY" in named and "OTHER_TOKEN" not in named


def fault(function, **options):
    with pytest.raises(RecipeError) as caught:
        call_on_run_start(verifier.bind(entry(function, **options)))
    return str(caught.value)


@slow
def test_a_signature_of_no_kind_is_refused_when_a_run_begins():
    text = fault("of_no_kind")
    assert re.search(r"^function: .*strangers.py:\d+: of_no_kind\(text, gold\) has a sign", text)
    for expected in ("score(problem, response)", "reward(completions,", "compute_score("):
        assert expected in text


@slow
@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        ("absent", {}, "has no 'absent' (it has "),
        ("not_callable", {}, "is int, neither a function nor a class"),
        ("Mute", {}, "class Mute has no method __call__"),
        ("equal", {"kind": "trl"}, "is of the kind 'temper', and kind is 'trl'"),
        ("equal", {"kind": "class"}, "equal is not a class"),
        ("equal", {"options": {"bonus": 1}}, "takes no option 'bonus'"),
        ("Counting", {"options": {"stride": 1}}, "Counting() takes no option 'stride'"),
        (["equal", "equal"], {}, "two of the functions have the same name"),
        (["equal", "later"], {"weights": [1.0], "correct": "equal"}, "1 weights for 2 functions"),
        (["equal", "later"], {}, "correct: 2 functions, and none is named to say what is correct"),
        (["equal", "later"], {"correct": "equals"}, "did you mean 'equal'?"),
        ("equal", {"options": {"answer": "3"}},
         "has an option 'answer', which is also what a function of the kind 'temper' is called"),
        ("own_names", {"arguments": {"output": "response"}}, "needs 'reference'; set it under"),
        ("own_names", {"arguments": {"put": "response"}}, "takes no option 'put'"),
        ("own_lists", {"options": {"reference": 1}, "arguments": {"reference": "answer"}},
         "gets 'reference' from `options` and from `arguments`"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_when_a_run_begins(function, options, text):
    assert text in fault(function, **options)


@slow
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import no_such_module as f\n", r"ModuleNotFoundError: No module named .* \(mine.py:1\)"),
        ("\n\ndef f(:\n", r"SyntaxError: .* \(mine.py:3\)"),
        ("x = 1\nf = x / 0\n", r"ZeroDivisionError: division by zero \(mine.py:2\)"),
        ("import sys as f\nf.exit(4)\n", r"the worker died: exit status 4"),
    ],
)
def test_a_file_that_does_not_import_names_its_line(tmp_path, code, text):
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(RecipeError, match=text):
        call_on_run_start(verifier.bind({"name": "plugin", "function": f"{tmp_path}/mine.py:f"}))


@slow
def test_an_edited_file_is_read_again(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def f(text): ...\n")
    bound = verifier.bind({"name": "plugin", "function": f"{file}:f"})
    with pytest.raises(RecipeError):
        call_on_run_start(bound)
    file.write_text("def f(response): ...\n")
    os.utime(file, ns=(1, 1))
    call_on_run_start(bound)


@slow
def test_a_neighbour_can_be_imported(tmp_path):
    (tmp_path / "beside.py").write_text("LIMIT = 3\n")
    (tmp_path / "mine.py").write_text("from beside import LIMIT\ndef f(response): return LIMIT\n")
    bound = verifier.bind({"name": "plugin", "function": f"{tmp_path}/mine.py:f"})
    assert asyncio.run(function_of(bound)(problem(), "x")).reward == 3


@slow
def test_an_installed_entry_point_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text("def rate(response): return 0.5\n")
    facts = tmp_path / "shop-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[temper.verifiers]\nrating = shop:rate\n")
    monkeypatch.syspath_prepend(tmp_path)  # workers take the path of their parent
    own_pool = {"setup_s": 61.0}  # its processes start only now
    bound = verifier.bind({"name": "plugin", "function": "rating", **own_pool})
    assert asyncio.run(function_of(bound)(problem(), "x")).reward == 0.5
    with pytest.raises(RecipeError, match=r"no entry point 'ratings' .*installed: rating"):
        call_on_run_start(verifier.bind({"name": "plugin", "function": "ratings"}))


def test_a_secret_in_place_of_a_variable_is_refused_without_showing_it():
    entry = {"name": "plugin", "function": "a.py:f", "environment": ["a/secret+value=="]}
    with pytest.raises(RecipeError, match="environment: not the name of an env") as caught:
        verifier.bind(entry)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "has no 'f' (it has none); name a function or a class of the file"),
        ("def F(): ...\ndef _f(): ...\n", "has no 'f' (it has F); name a function or a class"),
        ("def score():\n    def f(): ...\n", "has no 'f' (it has score)"),
        ("\n\ndef f(:\n", "does not parse: SyntaxError: invalid syntax (mine.py:3)"),
        ("x = " + "(" * 3000, "does not parse: "),
        (None, "there is no file "),
    ],
)
def test_a_file_without_the_function_is_refused_by_its_text_alone(tmp_path, code, text):
    if code is not None:
        (tmp_path / "mine.py").write_text(code)
    with pytest.raises(RecipeError) as caught:
        verifier.bind({"name": "plugin", "function": f"{tmp_path}/mine.py:f"})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "def f(response): ...",
        "async def f(response): ...",
        "class f: ...",
        "f = lambda response: 1.0",
        "from beside import score as f",
        "from beside import *",
        "def __getattr__(name): ...",
        "try:\n    import fast as f\nexcept ImportError:\n    f: object = None",
        "if True:\n    def f(response): ...",
        "(e, [f]) = make()",
        "for f in all_of_them: pass",
    ],
)
def test_reading_a_recipe_does_not_run_its_plugin(tmp_path, code):
    trace = tmp_path / "was_run"
    (tmp_path / "mine.py").write_text(f"open({str(trace)!r}, 'w').close()\n{code}\n")
    verifier.bind({"name": "plugin", "function": f"{tmp_path}/mine.py:f"})
    assert not trace.exists()


@slow
def test_a_package_of_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_lib").mkdir()
    (tmp_path / "my_lib" / "rewards.py").write_text("def f(response): return 0.25\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [p for p in sys.path if p not in ("", str(tmp_path))])
    bound = verifier.bind({"name": "plugin", "function": "my_lib.rewards:f"})
    assert asyncio.run(function_of(bound)(problem(), "x")).reward == 0.25


@slow
def test_two_folders_may_each_have_a_helper(tmp_path):
    bound = {}
    for name, value in (("one", 2.0), ("two", 21.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "helper.py").write_text(f"VALUE = {value}\n")
        (folder / "mine.py").write_text("import helper\ndef f(response): return helper.VALUE\n")
        bound[name] = function_of(
            verifier.bind({"name": "plugin", "function": f"{folder}/mine.py:f"})
        )
    rewards = [asyncio.run(bound[name](problem(), "x")).reward for name in ("one", "two", "one")]
    assert rewards == [2.0, 21.0, 2.0]


# -- processes -------------------------------------------------------------------------------------


@slow
def test_async_functions_wait_side_by_side():
    bound = function_of(verifier.bind(entry("meets", workers=1, deadline_s=30.0)))

    async def all_of_them():
        return await asyncio.gather(*(bound(problem(), str(n)) for n in range(8)))

    assert [verdict.reward for verdict in asyncio.run(all_of_them())] == [1.0] * 8


@slow
def test_a_file_is_executed_once_in_a_process_whatever_it_offers():
    both = ["executed", "executed_too"]
    verdict = ask(both, "x", workers=1, correct="executed", setup_s=62.0)
    assert verdict.components == {"executed": 1.0, "executed_too": 1.0}


@slow
def test_a_print_of_an_odd_character_costs_nothing(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    assert ask("says", "x", setup_s=63.0).reward == 1.0


@slow
def test_a_leak_meets_a_limit_unless_it_is_lifted():
    assert "out of memory" in ask("leaks", "x").reason


RUN = """
import asyncio, sys
from recipes.slots.registry import function_of
from rewards.types import Problem
from rewards.verifiers import verifier
entry = {"name": "plugin", "function": sys.argv[1], "options": {"note": sys.argv[2]}}
bound = function_of(verifier.bind(entry))
print(asyncio.run(bound(Problem(id="a", messages=(), answer=""), "x")).reward)
"""


@slow
def test_what_has_a_close_is_closed_when_the_run_ends(tmp_path):
    note = tmp_path / "note"
    command = [sys.executable, "-c", RUN, f"{STRANGERS}:Closing", str(note)]
    place = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(STRANGERS.parents[2])}}
    done = subprocess.run(command, **place, capture_output=True, text=True)
    assert done.stdout == "1.0\n", done.stderr
    assert note.read_text() == "close teardown atexit"
