"""Nothing that a program does makes its own verdict missing: it scores 0."""

import asyncio
from typing import Any

import pytest

from rewards.sandbox import choose
from rewards.types import Message, Problem, Verdict
from rewards.verifiers.code_tests import code_tests

pytestmark = pytest.mark.slow

SQUARE = ["assert solve(2) == 4", "assert solve(3) == 9"]
STACK = ["s = Stack([2, 1])\ns.push(4)\nassert use(s) == 4"]
SCRIPT = {"inputs": ["1\n", "2\n"], "outputs": ["1\n", "2\n"]}
CALLS = {"fn_name": "solve", "inputs": [[2], [3]], "outputs": [4, 9]}
UNITTEST = {
    "test": "import unittest\nclass TestSolve(unittest.TestCase):\n    def test_two(self):\n"
    "        self.assertEqual(solve(2), 4)\n"
}
THREADS = """
import threading
def burn():
    while True:
        pass
for _ in range(40):
    threading.Thread(target=burn, daemon=True).start()
"""

# What the tests are, and a program that loses.
PROGRAMS: dict[str, tuple[list[str] | dict[str, Any], str]] = {
    "built-in class that takes the arguments": (STACK, "Stack = list\ndef use(s):\n    return 4"),
    "most general class": (["n = Node()\nassert use(n) == 4"], "Node = object\nuse = id"),
    "class of classes": (["n = Node('a', (), {})\nassert use(n) == 4"], "Node = type\nuse = id"),
    "built-in view": (["n = Node(b'ab')\nassert use(n) == 4"], "Node = memoryview\nuse = len"),
    "built-in exception": (["n = Node('x')\nassert use(n) == 4"], "Node = ValueError\nuse = id"),
    "built-in lazy class": (["n = Node(1)\nassert use(n) == 4"], "Node = classmethod\nuse = id"),
    "a type from a call": (
        ["n = make()\nassert use(n('x')) == 4"],
        "def make():\n    return ValueError\nuse = id",
    ),
    "a method of plain data": (
        ["s = Stack()\nassert use(s.pop) == 4"],
        "class Stack:\n    def __new__(cls):\n        return [1]\nuse = id",
    ),
    "an exception that the tests pass on": (
        ["try:\n    solve(1)\nexcept Exception as error:\n    assert solve(error) == 1"],
        "def solve(n):\n    raise ValueError",
    ),
    "number of 30 million bits": (SQUARE, "def solve(n):\n    return 1 << 30_000_000"),
    "large number, printed": (
        ["assert str(solve(2)) == '4'"],
        "def solve(n):\n    return 1 << 30_000_000",
    ),
    "large number, called": (CALLS, "def solve(n):\n    return 1 << 30_000_000"),
    "large number, multiplied": (
        ["assert solve(2) ** 5 % 7 == 4"],
        "def solve(n):\n    return (1 << 30_000_000) - 1",
    ),
    "large exponent": (["assert 7 ** solve(2) == 49"], "def solve(n):\n    return 10**9"),
    "long range": (["assert sum(solve(2)) == 4"], "def solve(n):\n    return range(10**10)"),
    "long range, sorted": (["assert sorted(solve(2)) == [4]"], "solve = lambda n: range(10**9)"),
    "long range, as a set": (["assert set(solve(2)) == {4}"], "solve = lambda n: range(10**9)"),
    "long range, called": (CALLS, "def solve(n):\n    return range(10**9)"),
    "long repetition": (["assert 'a' * solve(2) == 'aa'"], "def solve(n):\n    return 10**9"),
    "wide text": (["assert f'{1:>{solve(2)}}' == ' 1'"], "def solve(n):\n    return 2 * 10**9"),
    "backtracking in the tests": (
        ["import re\nassert re.fullmatch('(a*)*b', solve(2))"],
        "def solve(n):\n    return 'a' * 40",
    ),
    "endless loop of the tests": (
        ["while not solve(2):\n    pass\nassert solve(2) == 4"],
        "def solve(n):\n    return 0",
    ),
    "deep answer": (
        ["import copy\nassert copy.deepcopy(solve(2)) == 4"],
        "def solve(n):\n    value = []\n    for _ in range(140):\n        value = [value]\n"
        "    return value",
    ),
    "deep answer, passed on": (
        ["assert solve([[[[[[[[[[[[solve(2)]]]]]]]]]]]]) == 4"],
        "def solve(n):\n    value = []\n    for _ in range(145):\n        value = [value]\n"
        "    return value",
    ),
    "tests that sleep": (
        ["import time\ntime.sleep(solve(2))\nassert solve(2) == 4"],
        "def solve(n):\n    return 10**6",
    ),
    "tests that evaluate the answer": (
        ["assert eval(solve(2)) == 4"],
        "def solve(n):\n    return '__import__(\"os\")._exit(0)'",
    ),
    "decimal of a million digits": (
        ["assert int(solve(2)) == 4"],
        "from decimal import Decimal\ndef solve(n):\n    return Decimal('1e99999999')",
    ),
    "fraction that is none": (
        SQUARE,
        "from fractions import Fraction\ndef solve(n):\n    half = Fraction(1, 2)\n"
        "    half._denominator = 0\n    return half",
    ),
    "module that calls itself numpy": (
        SQUARE,
        "import sys, types\nnumpy = types.ModuleType('numpy')\n"
        "class ndarray:\n    shape = (2,)\n    class dtype:\n        kind, str = 'i', '<i8'\n"
        "    def tobytes(self):\n"
        "        return bytes(16)\nnumpy.ndarray = numpy.generic = ndarray\n"
        "numpy.ascontiguousarray = lambda x: x\nsys.modules['numpy'] = numpy\n"
        "def solve(n):\n    return ndarray()",
    ),
    "own memory taken away": (
        SQUARE,
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (0, 0))\nsolve = lambda n: 5",
    ),
    "all files closed": (SQUARE, "import os, time\nos.closerange(0, 100)\ntime.sleep(99)"),
    "half an answer": (
        SQUARE,
        "import os, time\nfor file in range(3, 12):\n    try:\n"
        "        os.write(file, b'{\"value\": ')\n    except OSError:\n        pass\n"
        "time.sleep(99)",
    ),
    "message that is never ready": (
        SQUARE,
        "class Slow(Exception):\n    def __str__(self):\n        while True:\n            pass\n"
        "def solve(n):\n    raise Slow",
    ),
    "skipped by unittest": (
        UNITTEST,
        "import unittest\ndef solve(n):\n    raise unittest.SkipTest('no')",
    ),
    "exit in unittest": (UNITTEST, "def solve(n):\n    raise SystemExit(0)"),
    "interrupt in unittest": (UNITTEST, "def solve(n):\n    raise KeyboardInterrupt"),
    "import error": (SQUARE, "def solve(n):\n    import nothing_here"),
    "import error with a name": (
        SQUARE,
        "def solve(n):\n    raise ModuleNotFoundError('no', name='solve')",
    ),
    "import error on load": (SQUARE, "import nothing_here"),
    "module of the tests' choice": (
        ["import importlib\nassert importlib.import_module(solve(2)).x == 4"],
        "def solve(n):\n    return 'nothing_here'",
    ),
    "exit in the tests": (["import sys\nassert sys.exit(solve(2)) == 4"], "solve = lambda n: n"),
    "threads that take the processors": (
        SQUARE,
        f"{THREADS}\ndef solve(n):\n    while True:\n        pass",
    ),
    "threads that take the processors, on load": (
        SQUARE,
        f"{THREADS}\nwhile True:\n    pass",
    ),
    "threads that take the processors, then a wrong answer": (
        SQUARE,
        f"{THREADS}\ndef solve(n):\n    return 5",
    ),
    "many short bursts": (
        SQUARE,
        "import time\ndef solve(n):\n    while True:\n        time.sleep(1e-6)",
    ),
    "sleep": (SQUARE, "import time\ntime.sleep(1000)"),
    "sleep in a script": (SCRIPT, "import time\ntime.sleep(1000)"),
    "a thread that never ends": (
        SCRIPT,
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
    ),
    "output closed, then endless": (SCRIPT, "import os\nos.close(1)\nwhile True:\n    pass"),
    "slow output": (
        SCRIPT,
        "import time\nwhile True:\n    print(1, flush=True)\n    time.sleep(0.05)",
    ),
    "time signal ignored in a script": (
        SCRIPT,
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass",
    ),
    "the folder is filled before the next run": (
        SCRIPT,
        "print(input())\nn = 0\ntry:\n    while True:\n        n += 1\n"
        "        open(str(n), 'wb').write(bytes(1 << 20))\n"
        "except OSError:\n    pass\nraise SystemExit(3)",
    ),
    "the folder is closed before the next run": (
        SCRIPT,
        "import os\nos.mkdir('a')\nos.chmod('a', 0)\ntry:\n    os.chmod('.', 0)\n"
        "except OSError:\n    pass\nprint(7)",
    ),
    "the runner is killed by a script": (
        SCRIPT,
        "import os, signal\ntry:\n    os.kill(os.getppid(), signal.SIGKILL)\nexcept OSError:\n"
        "    pass\ntry:\n    os.killpg(0, signal.SIGKILL)\nexcept OSError:\n    pass\nprint(7)",
    ),
    "own filter of system calls": (
        SQUARE,
        "import ctypes, struct\nlibc = ctypes.CDLL(None)\nlibc.prctl(38, 1, 0, 0, 0)\n"
        "code = struct.pack('=HBBI', 6, 0, 0, 0x00050000)\n"
        "buffer = ctypes.create_string_buffer(code, 8)\n"
        "holder = struct.pack('@HP', 1, ctypes.addressof(buffer))\n"
        "libc.prctl(22, 2, holder, 0, 0)\nsolve = lambda n: 5",
    ),
    "memory that the tests multiply": (
        ["assert [solve(2)] * 10**7 == 4 and [list(solve(2)) for _ in range(10**6)] == 4"],
        "def solve(n):\n    return [0] * 10**6",
    ),
    "program is no text": (SQUARE, "\ud800"),
    "program of a null byte": (SQUARE, "\0"),
    "program nested too deeply": (SQUARE, "(" * 100_000),
    "program that stops the compiler": (SQUARE, "x = " + "-" * 100_000 + "1"),
    "large program": (SQUARE, "x = 1\n" * 2_000_000),
}


def judged(tests: list[str] | dict[str, Any], program: str, level: str) -> Verdict:
    columns = {"test_list": tests} if isinstance(tests, list) else tests
    message = Message(role="user", content="Write it.")
    problem = Problem(id="p", messages=(message,), answer="", columns=columns)
    options: dict[str, Any] = {"level": level, "test_s": 1.0, "total_s": 6.0, "memory_mb": 256}
    return asyncio.run(code_tests(problem, program, **options))


@pytest.mark.parametrize("strength", ["strongest", "weakest"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_wants_to_lose_scores_zero(name: str, strength: str) -> None:
    level = choose("auto" if strength == "strongest" else "rlimits").level
    verdict = judged(*PROGRAMS[name], level)
    assert not verdict.is_missing, verdict.reason
    assert not verdict.correct, verdict.reason
    assert verdict.reason.isprintable()
