"""What the text of a plug-in's file shows without running it: is it Python, is the name there?"""

import ast
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from recipes.errors import RecipeError, did_you_mean

PARSING = threading.Lock()  # two threads that build trees at once: SystemError in CPython 3.11
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def look_at_source(function: str) -> None:
    """Raise RecipeError where `path/to/file.py:name` cannot be there; other forms are not read.

    What only running the file can show, such as a missing import or the signature of an imported
    function, is left to the start of a run.
    """
    where, _, name = function.rpartition(":")
    if not where.endswith(".py"):
        return
    names = _names(_parsed(where, Path(where).expanduser()).body)
    known = list(dict.fromkeys(names))
    if name not in known and "*" not in known and "__getattr__" not in known:
        public = [known_name for known_name in known if not known_name.startswith("_")]
        raise RecipeError.of(
            f"{where} has no '{name}' (it has {', '.join(public) or 'none'})",
            fix=f"{did_you_mean(name, public)}name a function or a class of the file",
        )


def parse_python(source: bytes) -> ast.Module:
    """The tree of a Python file; one thread at a time. Raises what `ast.parse` raises."""
    with PARSING:
        return ast.parse(source)


def _parsed(where: str, file: Path) -> ast.Module:
    if not file.is_file():
        raise RecipeError.of(
            f"there is no file {file.absolute()}",
            fix="correct the path; a relative one starts where the command is run",
        )
    fix = "correct the file"
    try:
        return parse_python(file.read_bytes())
    except SyntaxError as error:
        what = f"{where} does not parse: SyntaxError: {error.msg} ({file.name}:{error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        what = f"{where} does not parse: {type(error).__name__}: {error}"
    except OSError as error:
        what, fix = f"{where} cannot be read: {error.strerror}", "correct its permissions"
    raise RecipeError.of(what, fix=fix)


def _names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Every name that the statements give a value in the module, also below `if` and `try`."""
    for node in nodes:
        if isinstance(node, _SCOPES):
            if not isinstance(node, ast.Lambda):
                yield node.name
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((a.asname or a.name).partition(".")[0] for a in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        yield from _names(list(ast.iter_child_nodes(node)))
