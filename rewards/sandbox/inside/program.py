"""Runs an untrusted program as a script: as `__main__`, with the standard streams it was given."""

import _sitebuiltins
import atexit
import builtins
import os
import sys
import threading
import traceback
from types import CodeType, ModuleType
from typing import NoReturn

from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import lock
from rewards.sandbox.inside.seccomp import seal

FILE_NAME = "program.py"

Namespace = dict[str, object]

# Names that competitive programs use without importing them; LiveCodeBench provides them too.
# `builtins` is last, because `math` has a `pow` of its own.
_STAR_IMPORTS = "bisect collections functools heapq itertools math string typing builtins"
_PLAIN_IMPORTS = f"{_STAR_IMPORTS} copy datetime json operator random re statistics sys"


def main(order: LaunchOrder) -> NoReturn:
    """Run the source in the role's first open file; the exit status is the program's own.

    A byte in the second says that everything up to the program worked.
    """
    with open(order.fds[0], encoding="utf-8", errors="surrogatepass") as file:
        source = file.read()
    lock(order)
    namespace = fresh_module("__main__")
    seal(order)
    os.write(order.fds[1], b"1")
    os.close(order.fds[1])
    run(source, namespace)


def fresh_module(name: str) -> Namespace:
    """An empty module under `name`, and none of ours left to import; returns its namespace."""
    for taken in [known for known in sys.modules if known.split(".")[0] == "rewards"]:
        del sys.modules[taken]
    sys.argv[:], sys.orig_argv[:] = [FILE_NAME], [FILE_NAME]
    # What `site` adds to every ordinary interpreter, and contest programs call.
    for word in ("exit", "quit"):
        setattr(builtins, word, _sitebuiltins.Quitter(word, "end of file"))
    module = ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module.__dict__


def compiled(source: str) -> CodeType:
    return compile(source, FILE_NAME, "exec", dont_inherit=True)


def run(source: str, namespace: Namespace) -> NoReturn:
    """Execute and end the process, printing what an ordinary interpreter would."""
    try:
        exec(compiled(source), namespace)
    except SystemExit:
        raise
    except BaseException as error:
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, frames)
        sys.exit(1)
    sys.exit(0)


def run_forked(source: str, namespace: Namespace) -> NoReturn:
    """The same in a process that was forked: end without returning into the code that forked."""
    try:
        run(source, namespace)
    except SystemExit as end:
        code = end.code
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(0 if code is None else code & 255 if isinstance(code, int) else 1)
    finally:
        os._exit(1)


def provide_usual_imports(source: str, namespace: Namespace) -> None:
    """Import what contest programs take for granted, the costly modules only where named."""
    for module in _PLAIN_IMPORTS.split():
        if module in source or module in sys.modules:
            exec(f"import {module}", namespace)
    for module in _STAR_IMPORTS.split():
        exec(f"from {module} import *", namespace)


def silence(stream: int) -> None:
    """Point an open file at nothing."""
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, stream)
    os.close(nothing)
