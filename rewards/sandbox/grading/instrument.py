"""Reads trusted test code: which names are the program's, and how many assertions there are."""

import ast
import builtins
import sys

RECORD, FAILED, ERRORS = "__record__", "__failed__", "__errors__"  # names in the test's namespace
_CAUGHT = "__caught__"
_RAISES = ("raises", "assertRaises", "assertRaisesRegex")


class _Recorder(ast.NodeTransformer):
    """Records assertions where they are, so that no `try` around one hides a failure.

        assert condition          try: __record__("text", condition)
                                  except __errors__ as __caught__: __failed__("text", __caught__)

    A call whose name begins with "assert", and a `with` that expects an exception, are assertions
    too; they count as passed unless they raise. Calls of the tests' own functions are none,
    because the assertions inside those are recorded. An assertion of a true constant proves
    nothing and is dropped.
    """

    def __init__(self, own: set[str]) -> None:
        self.count = 0
        self._own = own

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        if isinstance(node.test, ast.Constant) and node.test.value:
            return ast.copy_location(ast.Pass(), node)
        return self._recorded(node, ast.unparse(node.test), [], node.test)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        name = _last_name(node.value.func) if isinstance(node.value, ast.Call) else ""
        if name.startswith("assert") and name not in self._own:
            return self._recorded(node, ast.unparse(node), [node], ast.Constant(True))
        return node

    def visit_With(self, node: ast.With) -> ast.stmt:
        calls = [item.context_expr for item in node.items]
        if any(isinstance(call, ast.Call) and _last_name(call.func) in _RAISES for call in calls):
            return self._recorded(node, ast.unparse(calls[0]), [node], ast.Constant(True))
        self.generic_visit(node)
        return node

    def _recorded(
        self, node: ast.stmt, text: str, before: list[ast.stmt], condition: ast.expr
    ) -> ast.stmt:
        self.count += 1
        what = ast.Constant(value=text[:200])
        caught = ast.Name(_CAUGHT, ast.Load())
        handler = ast.ExceptHandler(
            type=ast.Name(ERRORS, ast.Load()), name=_CAUGHT, body=[_call(FAILED, what, caught)]
        )
        body = [*before, _call(RECORD, what, condition)]
        recorded = ast.Try(body=body, handlers=[handler], orelse=[], finalbody=[])
        return ast.fix_missing_locations(ast.copy_location(recorded, node))


def _call(name: str, *arguments: ast.expr) -> ast.Expr:
    function = ast.Name(name, ast.Load())
    return ast.Expr(value=ast.Call(func=function, args=list(arguments), keywords=[]))


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def recorded(tree: ast.Module) -> tuple[ast.Module, int]:
    """The tree with its assertions recorded, and how many there are as written."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    own = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    recorder = _Recorder(own)
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
            bound |= bound_by(node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                loaded.add(node.id)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                modules |= {node.value.id} & sys.stdlib_module_names
    free = loaded - bound - vars(builtins).keys() - {"__name__", "__file__"}
    modules &= free
    return (free - modules) or _called_builtins(trees, bound), modules


def bound_by(node: ast.AST) -> set[str]:
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
    """Built-in names that are outermost on the left of an assertion."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assert):
                continue
            left = node.test.left if isinstance(node.test, ast.Compare) else node.test
            if isinstance(left, ast.Call) and isinstance(left.func, ast.Name):
                found.add(left.func.id)
    return found - bound


class _ProgramImports(ast.NodeTransformer):
    """Takes out the imports of the program's own module; remembers what they bound."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._modules = modules
        self.names: dict[str, str] = {}  # name in the tests -> name in the program
        self.whole: set[str] = set()  # names in the tests of the module itself
        self.imports: list[ast.stmt] = []  # all others

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        ours = [alias for alias in node.names if alias.name in self._modules]
        node.names = [alias for alias in node.names if alias not in ours]
        self.whole |= {alias.asname or alias.name for alias in ours}
        if not node.names:
            return ast.copy_location(ast.Pass(), node)
        self.imports.append(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.module not in self._modules:
            self.imports.append(node)
            return node
        named = {a.asname or a.name: a.name for a in node.names if a.name != "*"}
        self.names |= named
        return ast.copy_location(ast.Pass(), node)

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        """What is imported in a `try` may be missing."""
        kept = list(self.imports)
        self.generic_visit(node)
        self.imports = kept
        return node


def without_program_imports(
    tree: ast.Module, modules: tuple[str, ...]
) -> tuple[ast.Module, dict[str, str], set[str], list[ast.stmt]]:
    """The tree, the names that it imports from the program, names of the module, other imports."""
    taker = _ProgramImports(modules)
    return taker.visit(tree), taker.names, taker.whole, taker.imports
