"""Verdicts on programs, in every style of test, and what a program cannot talk its way out of."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.sandbox import LEVELS, SandboxUnavailable, choose
from rewards.types import Message, Problem, Verdict
from rewards.verifiers import verifier
from rewards.verifiers.code_tests import (
    code_tests,
    columns_with_tests,
    extract_program,
    sandbox_in_force,
)

MBPP = {"test_list": ["assert double(2) == 4", "assert double([1]) == [1, 1]"]}
HEAD = 'def halve(n):\n    return n // 2\n\n\ndef double(n):\n    """Twice n."""\n'
HUMANEVAL = {
    "prompt": HEAD,
    "entry_point": "double",
    "test": "def check(twice):\n    for n in range(50):\n        assert halve(twice(n)) == n\n",
}
CALLS = {"fn_name": "add", "inputs": [[1, 2], [[1], [2]]], "outputs": [3, [1, 2]]}
STDIN = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
SUM = "a, b = map(int, input().split())\nprint(a + b)"


def judged(program: str, columns: dict[str, Any], **options: Any) -> Verdict:
    problem = Problem(
        id="p", messages=(Message(role="user", content="Do it."),), answer="", columns=columns
    )
    return asyncio.run(code_tests(problem, program, **options))


def level_or_skip(level: str) -> None:
    try:
        choose(level)
    except SandboxUnavailable as error:
        pytest.skip(f"sandbox level {error}")


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("x = 1", "x = 1"),
        ("    return 1", "    return 1"),
        ("Text\n```python\nx = 1\n```\nmore", "x = 1\n"),
        ("```py\nx = 1\n```\n```python\nx = 2\n```", "x = 2\n"),
        ("```python\nx = 1\n```\nOutput:\n```text\n1\n```", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```cpp\nint x;\n```", "int x;\n"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
        ("~~~python\nx = 1\n~~~", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("use `x = 1` here", "use `x = 1` here"),
        ("", ""),
    ],
)
def test_the_program_is_the_last_block_that_may_be_python(response: str, program: str) -> None:
    assert extract_program(response) == program


@pytest.mark.parametrize("hard", ["`" * 10**6, " " * 10**6 + "```", "```a\n" * 10**5])
def test_looking_for_blocks_takes_one_pass(hard: str) -> None:
    assert len(extract_program(hard)) <= len(hard)


def test_columns_may_stand_in_a_column_of_their_own() -> None:
    message = Message(role="user", content="Prompt")
    row = {"meta": {"test_list": ["a"], "other": 1}, "source": "s"}
    problem = Problem(id="p", messages=(message,), answer="", columns=row)
    assert columns_with_tests(problem) == {"prompt": "Prompt", "test_list": ["a"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "columns", "correct"),
    [
        ("def double(n):\n    return n * 2", MBPP, True),
        ("def double(n):\n    return n + 2", MBPP, False),
        ("def twice(n):\n    return n * 2", MBPP, False),
        ("def double(n)\n    return n * 2", MBPP, False),
        ("", MBPP, False),
        ("Sure:\n```python\ndef double(n):\n    return n * 2\n```", MBPP, True),
        ("    return n * 2\n", HUMANEVAL, True),
        ("def double(n):\n    return halve(4 * n)", HUMANEVAL, True),
        ("    return n\n", HUMANEVAL, False),
        # the trusted helper decides, not the one that the program brings
        ("def halve(n):\n    return n\ndef double(n):\n    return n", HUMANEVAL, False),
        ("def add(a, b):\n    return a + b", CALLS, True),
        ("class Solution:\n    def add(self, a: List[int], b):\n        return a + b", CALLS, True),
        ("def add(a, b):\n    return 3", CALLS, False),
        (SUM, STDIN, True),
        ("import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))", STDIN, True),
        (SUM + "\nexit()", STDIN, True),
        ("print(3)", STDIN, False),
        (SUM + "\nraise SystemExit(1)", STDIN, False),
        (SUM + "\nopen('/etc/passwd')", STDIN, False),
        ("if __name__ == '__main__':\n    " + SUM.replace("\n", "\n    "), STDIN, True),
    ],
)
def test_verdicts(program: str, columns: dict[str, Any], correct: bool) -> None:
    verdict = judged(program, columns)
    assert (verdict.correct, verdict.reward) == (correct, float(correct)), verdict.reason
    assert not verdict.is_missing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "program", "correct"),
    [
        (["assert sum(1, 2) == 3"], "def sum(a, b):\n    return a + b", True),
        (["assert set(f()) == {1, 2}"], "def f():\n    return [2, 1, 1]", True),
        (["assert math.isclose(f(), 0.3)"], "def f():\n    return 0.1 + 0.2", True),
        (["assert list(f()) == [0, 1]"], "def f():\n    yield from range(2)", True),
        (["assert f() == [0, 1]"], "def f():\n    yield from range(2)", False),
        (["assert f([1, 'a'], str) == ['a']"],
         "f = lambda x, kind: [i for i in x if type(i) is kind]", True),
        (["x = [2, 1]\nf(x)\nassert x == [1, 2]"], "def f(x):\n    x.sort()", True),
        (["x = [2, 1]\nassert f(x) == sorted(x)"],
         "def f(x):\n    x.clear()\n    return []", False),
        (["try:\n    f(-1)\n    assert False\nexcept ValueError:\n    assert f(4) == 2"],
         "import math\ndef f(x):\n    return math.sqrt(x)", True),
        (["assert f(Pair(1, 2)) == 3"],
         "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
         "def f(p):\n    return p.a + p.b", True),
        (["s = Stack()\ns.push(4)\nassert s.pop() == 4 and len(s) == 0"],
         "class Stack(list):\n    push = list.append", False),  # a list travels as its data
        (["s = Stack()\ns.push(4)\nassert s.pop() == 4 and len(s) == 0"],
         "class Stack:\n    def __init__(self):\n        self.x = []\n    def push(self, v):\n"
         "        self.x.append(v)\n    def pop(self):\n        return self.x.pop()\n"
         "    def __len__(self):\n        return len(self.x)", True),
        (["assert all(map(f, [1, 2]))"], "def f(x):\n    raise StopIteration", False),
        (["for x in f():\n    assert x > 0"], "def f():\n    return []", False),
        (["try:\n    assert f() == 1\nexcept:\n    pass"], "def f():\n    return 2", False),
        (["try:\n    assert f() == 1\nexcept:\n    pass"],
         "import os\nf = lambda: os._exit(0)", False),
    ],
)  # fmt: skip
def test_forms_of_assertions(tests: list[str], program: str, correct: bool) -> None:
    verdict = judged(program, {"test_list": tests})
    assert verdict.correct == correct, verdict.reason
    assert not verdict.is_missing


@pytest.mark.slow
def test_setup_code_may_build_objects_of_the_program() -> None:
    columns = {
        "test_setup_code": "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(4)",
        "test_list": ["assert depth(root) == 3"],
    }
    program = (
        "class Node:\n    def __init__(self, value):\n        self.value, self.left = value, None\n"
        "def depth(node):\n    return 0 if node is None else 1 + depth(node.left)\n"
    )
    assert judged(program, columns).correct


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "columns", "share"),
    [
        ("def double(n):\n    return 4", MBPP, 1 / 2),
        ("print(7)", STDIN, 1 / 2),
        ("def add(a, b):\n    return a + b if a == 1 else None", CALLS, 1 / 2),
        ("def double(n):\n    return n * 2", MBPP, 1.0),
        # an early end counts every test that was not reached as failed
        ("import os\ndef double(n):\n    return 4 if n == 2 else os._exit(0)", MBPP, 1 / 2),
        ("import os\nos._exit(0)", MBPP, 0.0),
        ("    return n * 2 if n < 25 else 0\n", HUMANEVAL, 1 / 2),
    ],
)
def test_share_rewards_the_part_that_passes(
    program: str, columns: dict[str, Any], share: float
) -> None:
    verdict = judged(program, columns, reward="share")
    assert verdict.reward == pytest.approx(share), verdict.reason
    assert verdict.correct == (share == 1.0)


@pytest.mark.slow
def test_the_level_in_force_is_recorded() -> None:
    sandbox = choose("auto")
    verdict = judged("def double(n):\n    return n * 2", MBPP)
    assert verdict.components == {"tests_passed": 1.0, "sandbox_rank": float(sandbox.rank)}
    assert verdict.reason == f"2 of 2 tests passed [{sandbox.level}]"
    assert verdict.answer == "def double(n):\n    return n * 2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "the row has no tests"),
        ({"test_list": ["double(2)"]}, "assert nothing"),
        ({"test_list": ["assert True"]}, "assert nothing"),
        ({"test_list": ["assert double(2) =="]}, "test 1 is not Python"),
        ({"test_list": ["import nothing_here\nassert double(2) == 4"]}, "import nothing_here"),
        ({"test_list": ["assert double(lambda: 1) == 2"]}, "passes a function"),
        ({"test_list": [{1, 2}]}, "not JSON"),
    ],
)
def test_a_row_without_usable_tests_is_missing_whatever_the_program(
    columns: dict[str, Any], says: str
) -> None:
    verdict = judged("def double(n):\n    return n * 2", columns)
    assert verdict.is_missing
    assert says in verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "columns", "says"),
    [
        ("while True: pass", MBPP, "processor time"),
        ("while True: pass", STDIN, "processor time"),
        (
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            STDIN,
            "processor time",
        ),
        ("def double(n):\n    import time\n    time.sleep(99)", MBPP, "no answer in time"),
        ("def double(n):\n    return bytearray(10**10)", MBPP, "MemoryError"),
        ("while True: print('x' * 10**6)", STDIN, "bytes of output"),
        ("def double(n):\n    return 'x' * 10**7", MBPP, "longer than"),
        ("import os\nos._exit(3)", MBPP, "exit status 3"),
        ("raise ValueError('k')", MBPP, "ValueError: k"),
    ],
)
def test_a_program_over_its_limits_is_wrong_and_says_why(
    program: str, columns: dict[str, Any], says: str
) -> None:
    verdict = judged(program, columns, test_s=1.0, memory_mb=256)
    assert not verdict.is_missing
    assert not verdict.correct
    assert says in verdict.reason


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Five processes for each core that compute without end."""
    count = 5 * (os.cpu_count() or 1)
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


@pytest.mark.slow
def test_on_a_busy_machine_programs_are_judged_by_the_time_they_had(busy_machine: None) -> None:
    burn = "import time\ndef double(n):\n    while time.process_time() < {}:\n        pass\n"
    honest = f"{burn.format(0.5)}    return n * 2"
    programs = [honest, burn.format(99), "import time\nwhile True:\n    time.sleep(0)"]
    verdicts = [judged(program, MBPP, test_s=1.0, total_s=4.0) for program in programs]
    assert [verdict.is_missing for verdict in verdicts] == [False, False, False]
    assert [verdict.correct for verdict in verdicts] == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_each_run_of_a_script_finds_an_empty_folder(level: str) -> None:
    level_or_skip(level)
    program = (
        "import os, tempfile\ninput()\n"
        "print(os.path.exists('left'), os.path.exists(tempfile.gettempdir() + '/left'))\n"
        "open('left', 'w').write('x')\nopen(tempfile.gettempdir() + '/left', 'w').write('x')\n"
    )
    columns = {"inputs": ["\n"] * 3, "outputs": ["False False\n"] * 3}
    verdict = judged(program, columns, level=level)
    assert verdict.correct, verdict.reason


@pytest.mark.slow
def test_a_reason_holds_no_commands_for_a_terminal() -> None:
    program = "def double(n):\n    raise ValueError('\\x1b]0;title\\x07\\x1b[2J\\u202e\\n')"
    reason = judged(program, MBPP).reason
    assert reason.isprintable()
    assert r"\x1b]0;title\x07\x1b[2J\u202e" in reason


@pytest.mark.slow
def test_a_level_that_is_not_there_is_an_error_and_nothing_weaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    forget()
    try:
        with pytest.raises(RecipeError, match="bwrap is not installed"):
            judged("x", MBPP, level="bubblewrap")
    finally:
        forget()


def forget() -> None:
    """The levels are tried once in the life of a process; try them again."""
    choose.cache_clear()
    sandbox_in_force.cache_clear()


@pytest.mark.slow
def test_many_programs_take_turns() -> None:
    async def all_of_them() -> list[Verdict]:
        problems = [
            Problem(
                id=str(n),
                messages=(Message(role="user", content=""),),
                answer="",
                columns={"test_list": [f"assert f({n}) == {n + n % 2}"]},
            )
            for n in range(20)
        ]
        program = "def f(n):\n    return n"
        return await asyncio.gather(*(code_tests(p, program, programs=3) for p in problems))

    verdicts = asyncio.run(all_of_them())
    assert [verdict.correct for verdict in verdicts] == [n % 2 == 0 for n in range(20)]


@pytest.mark.slow
def test_a_caller_that_gives_up_frees_its_place() -> None:
    async def give_up_then_ask() -> Verdict:
        problem = Problem(
            id="p", messages=(Message(role="user", content=""),), answer="", columns=MBPP
        )
        with pytest.raises(TimeoutError):
            endless = code_tests(problem, "import time\ntime.sleep(600)", programs=1, test_s=300)
            await asyncio.wait_for(endless, 0.5)
        return await code_tests(problem, "def double(n):\n    return n * 2", programs=1)

    assert asyncio.run(give_up_then_ask()).correct


def test_it_is_registered_with_its_options() -> None:
    bound = verifier.bind({"name": "code_tests", "level": "rlimits", "reward": "share"})
    assert function_of(bound).keywords["level"] == "rlimits"
    with pytest.raises(RecipeError, match="level"):
        verifier.bind({"name": "code_tests", "level": "docker"})
