"""What is imported by name.

Ansible sends to a host all that a module imports, wherever the import stands, and parses and packs it in every run.
An import by name it does not follow. So what only some modules need is imported by name, and those that need it name
a list of such parts (C(_registry/carry_*.py)) in a constant C(CARRIES).
"""

from __future__ import annotations

import importlib
import typing as t

_UTILS = __name__.rpartition("._base.")[0]
T = t.TypeVar("T")


class NotCarried(ImportError):
    """What is imported by name did not come with what runs here."""


class ByName(t.Generic[T]):
    """Something of another module, imported when it is used.

    :param name: C(_folder.module:attribute).
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> T:
        """The thing itself.

        :raises NotCarried: what runs here does not carry its module.
        """
        module, dummy, attribute = self.name.partition(":")
        try:
            loaded: T = getattr(importlib.import_module(f"{_UTILS}.{module}"), attribute)
        except ModuleNotFoundError as error:
            if str(error.name).startswith(_UTILS):
                raise NotCarried(f"{self.name} did not come with what runs here") from error
            raise
        return loaded
