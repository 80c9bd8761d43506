"""Imports that wait until they are used: for commands that read a recipe and compute nothing.

Slot functions compute with torch, so their files import it; their options need none of it. After
`defer("torch")`, `import torch` gives a module that is executed when an attribute of it is first
read. A file that reads one while it is imported makes a command slower, and changes nothing else.
`importlib.util.LazyLoader` would execute torch at the second `import torch`, which looks at
`torch.__spec__`.
"""

import importlib.util
import sys
from types import ModuleType


class DeferredModule(ModuleType):
    """A module that knows its name and its files only, until somebody reads anything else."""

    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        assert spec is not None and spec.loader is not None
        self.__class__ = ModuleType  # type: ignore[assignment]
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        spec.loader.exec_module(self)
        return getattr(self, name)


def defer(name: str) -> None:
    """Let `import <name>` execute the module at its first use, unless it is imported already."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:
        return
    module = importlib.util.module_from_spec(spec)
    # Without a path, an import of something inside the package executes the package first.
    module.__dict__.pop("__path__", None)
    module.__class__ = DeferredModule
    sys.modules[name] = module
