"""The page's two walks through the code name functions that are where it says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| \[[^]]*\]\(\.\./([\w/.]+)\) \| `([\w.]+)` \|", re.MULTILINE)


def test_every_function_on_a_walk_is_defined_in_its_file() -> None:
    rows = ROW.findall((ROOT / "docs/concepts.md").read_text(encoding="utf-8"))
    assert len(rows) > 15
    for file, name in rows:
        body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        for part in name.split("."):
            known = {node.name: node for node in body if isinstance(node, DEFINITIONS)}
            assert part in known, f"docs/concepts.md: {file} has no {name}"
            body = known[part].body


DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
