"""The named steps, read from the source of the package: none can be left out."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.lab.machines import CHECKOUT
from zkboot.model import Holds

# Functions that pass a step through whose name is their callers' matter: the place of that argument.
NAMED_BY_CALLER = {"replace_record": 2, "amend_record": 2}


class Nameless(AssertionError):
    """A step whose name cannot be read from the source: write it there, or name its function in NAMED_BY_CALLER."""


def steps_in_code() -> frozenset[str]:
    """The name of every step of the package. Raises Nameless."""
    files = (CHECKOUT / "zkboot").rglob("*.py")
    return frozenset(name for file in files for name in steps_of(file))


def steps_of(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    passed_on = {
        id(call)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in NAMED_BY_CALLER
        for call in ast.walk(function)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and id(call) not in passed_on:
            if call.func.id == "step":
                yield from names(call.args[0], f"{file}:{call.lineno}")
            elif call.func.id in NAMED_BY_CALLER:
                yield from names(call.args[NAMED_BY_CALLER[call.func.id]], f"{file}:{call.lineno}")


def names(argument: ast.expr, where: str) -> Iterator[str]:
    """What a step's name can be: itself, or with each thing that a report can say in its place."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        fixed = "".join(str(part.value) for part in argument.values if isinstance(part, ast.Constant))
        yield from (fixed + holds for holds in Holds)
    else:
        raise Nameless(where)
