"""How far an evaluation is: a bar on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called after each problem with (problems done, problems in all)."""

LINES = 4  # printed over a whole evaluation where there is no terminal


def silent(done: int, total: int) -> None:
    """Shows nothing."""


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A Progress that people can watch.

    The bar shares rich's one console with the run's live view, and so appears beneath it.
    """
    from rich import get_console
    from rich.progress import Progress as Bar

    console = get_console()
    if not console.is_terminal or console.is_dumb_terminal:

        def line(done: int, total: int) -> None:
            if done * LINES // total > (done - 1) * LINES // total:
                print(f"{title}: {done} of {total} problems", file=sys.stderr, flush=True)

        yield line
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
