"""Files stay under 400 lines and functions under 40, as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from apps.stack.paths import ROOT

FILE_LINES, FUNCTION_LINES = 400, 40
PRODUCT = ("apps", "config", "ml", "clients", ".ci")
LONG_FILES = {
    "tests/contract/test_clothing.py",
    "tests/contract/test_costume.py",
    "tests/contract/test_money.py",
    "tests/contract/test_removebg.py",
    "tests/contract/test_watermark.py",
    "tests/contract/test_watermark_tasks.py",
    "tests/contract/test_watermark_templates.py",
    "tests/core/test_decoding.py",
    "tests/core/test_fetch.py",
    "tests/core/test_wholeness.py",
    "tests/stack/test_bad_input.py",
}
"""Those that were too long when the rule began to be held. Names leave this list and never enter it."""
LONG_FUNCTIONS: frozenset[str] = frozenset()
"""The same of functions."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last one, without the docstring: what says shapes, units and errors shall not be cut short."""
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function, clean=False) is not None:
        docstring = (first.end_lineno or 0) - first.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_grows_to_400_lines() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in sources(*PRODUCT, "tests")}

    long = {name for name, count in lines.items() if count >= FILE_LINES}

    assert long - LONG_FILES == set(), "too long: divide it where it speaks of two things"
    assert LONG_FILES - long == set(), "short enough now: take it off the list"


def test_no_function_grows_to_40_lines() -> None:
    found = [(path, each) for path in sources(*PRODUCT) for each in functions(path)]

    long = {each.name: str(path.relative_to(ROOT)) for path, each in found if length(each) >= FUNCTION_LINES}

    assert {name: file for name, file in long.items() if name not in LONG_FUNCTIONS} == {}, "too long: divide it"
    assert LONG_FUNCTIONS - set(long) == set(), "short enough now: take it off the list"


def test_docstring_is_not_counted() -> None:
    text = 'def f():\n    """\n    Two.\n    """\n    a = 1\n    return a\n'

    assert [length(each) for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)] == [3]
