"""What P(_content.whole) keeps beside a path."""

from __future__ import annotations

import os

from ansible_collections.intellistream.sage.plugins.module_utils._content.whole import aside


def stored_beside(path: str) -> list[str]:
    """Directories that are captured and lie beside a path, since the store is on another file system."""
    prefix = f".{os.path.basename(path)}.sage-"
    hidden = os.path.basename(aside(path))
    try:
        names = os.listdir(os.path.dirname(path))
    except OSError:
        return []
    return [
        os.path.join(os.path.dirname(path), name)
        for name in sorted(names)
        if name.startswith(prefix) and name != hidden
    ]
