"""Names of distributions, compared as PEP 503 does."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[-_.]+")


def canonical(name: str) -> str:
    """The name as indexes compare it (PEP 503): C(Foo_Bar) and C(foo-bar) are the same."""
    return _SEPARATORS.sub("-", name).lower()
