"""Reads trusted test code: which names are the program's, and how many assertions there are."""

import ast
import builtins
import sys

RECORD, FAILED, ERRORS = "__record__", "__failed__", "__errors__"  # names in the test's namespace
_CAUGHT = "__caught__"


class _Recorder(ast.NodeTransformer):
    """Turns `assert condition` into a recorded one, so that no `try` around it hides a failure.

        try: __record__("text", condition)
        except __errors__ as __caught__: __failed__("text", __caught__)

    An assertion of a true constant proves nothing and is dropped.
    """

    def __init__(self) -> None:
        self.count = 0

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if isinstance(node.test, ast.Constant) and node.test.value:
            return ast.copy_location(ast.Pass(), node)
        self.count += 1
        text = ast.Constant(value=ast.unparse(node.test)[:200])
        caught = ast.Name(_CAUGHT, ast.Load())
        handler = ast.ExceptHandler(
            type=ast.Name(ERRORS, ast.Load()), name=_CAUGHT, body=[_call(FAILED, text, caught)]
        )
        recorded = ast.Try(
            body=[_call(RECORD, text, node.test)], handlers=[handler], orelse=[], finalbody=[]
        )
        return ast.fix_missing_locations(ast.copy_location(recorded, node))


def _call(name: str, *arguments: ast.expr) -> ast.Expr:
    function = ast.Name(name, ast.Load())
    return ast.Expr(value=ast.Call(func=function, args=list(arguments), keywords=[]))


def recorded(tree: ast.Module) -> tuple[ast.Module, int]:
    """The tree with its assertions recorded, and how many there are as written."""
    recorder = _Recorder()
    return recorder.visit(tree), recorder.count


def names_of_the_program(trees: list[ast.Module], *, known: set[str]) -> tuple[set[str], set[str]]:
    """Names that test code takes from the program, and standard modules that it forgot to import.

    known: names that trusted code defines. A built-in function counts as the program's only when
    the tests call nothing else: `assert sum(10, 15) == 25` tests a `sum` of the program, but in
    `assert set(f(x)) == {1}` only `f` is the program's.
    """
    loaded: set[str] = set()
    bound = set(known)
    modules: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            bound |= _bound_by(node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                loaded.add(node.id)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                modules |= {node.value.id} & sys.stdlib_module_names
    free = loaded - bound - vars(builtins).keys()
    modules &= free
    return (free - modules) or _called_builtins(trees, bound), modules


def _bound_by(node: ast.AST) -> set[str]:
    """Names that a node defines, in whatever scope."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).split(".")[0]}
    if isinstance(node, ast.ExceptHandler) and node.name:
        return {node.name}
    return set()


def _called_builtins(trees: list[ast.Module], bound: set[str]) -> set[str]:
    """Built-in names that stand outermost on the left of an assertion."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assert):
                continue
            left = node.test.left if isinstance(node.test, ast.Compare) else node.test
            if isinstance(left, ast.Call) and isinstance(left.func, ast.Name):
                found.add(left.func.id)
    return found - bound
