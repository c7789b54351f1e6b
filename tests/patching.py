"""What a test replaces in zkboot is replaced in each module that looks it up: in any other it would change nothing, unnoticed."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any


def everywhere(package: ModuleType, name: str, new: Any) -> list[tuple[object, str, Any]]:
    """The patches that replace a name in each module of a package that has it, from its own text or another's."""
    modules = [package, *(import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__))]
    found = [module for module in modules if name in vars(module)]
    assert len({id(vars(module)[name]) for module in found}) == 1, f"{package.__name__} has not one {name}, but {found}"
    return [(module, name, new) for module in found]
