"""What a change left in an environment, and whose it is: told when it has ended, since RECORD may be gone later."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import escape, unescape
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import Owners

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

_OWNERS = "owners"


def settled(layer: Layer) -> Facts:
    """As M(_footprint.point.settled), and note the owners of what was touched.

    :returns: what the ledger keeps of it; C(owners) is the hash of a file that M(owners) reads.
    :raises OSError: there is no room.
    """
    facts = point.settled(layer)
    recorded = layer.after or {}
    if recorded.get("footprints") == facts["footprints"] and recorded.get("owners"):
        return {**facts, "owners": recorded["owners"]}
    lines: list[bytes] = []
    for path, footprint in point.touched(layer._replace(after=facts)):
        venv = Tree.open(path)
        if venv is None:
            continue
        with venv, point.farms_of([layer]) as farms:
            owners = Owners(venv)
            owners.learn(footprint.paths(), footprint.before, farms)
        for name in footprint.paths():
            names = ",".join(sorted(owners.names(name)))
            lines += [b"%b %b\n" % (escape(names), escape(name))] if names else []
    content = b"".join(lines)
    layer.where.write(_OWNERS, content)
    return {**facts, "owners": hashlib.sha256(content).hexdigest()}


def owners(layer: Layer) -> dict[str, set[str]]:
    """Path → the distributions that list it, of what a change touched; empty where nobody noted them."""
    digest = (layer.after or {}).get("owners")
    content = layer.where.read(_OWNERS) if digest else None
    if content is None or hashlib.sha256(content).hexdigest() != digest:
        return {}
    words = (line.split() for line in content.splitlines())
    return {unescape(path): {*unescape(names).split(",")} for names, path in words}
