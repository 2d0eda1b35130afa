"""Let go of what captures hold outside of the store, such as what git keeps for them in its own objects."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point


def release(state: PrivateDir, point: Point) -> list[str]:
    """Let go of what the captures of a rollback point hold.

    :returns: what was not released, a sentence each.
    """
    warnings = []
    for spec, resource in zip(point.get("specs") or [], point.get("resources") or []):
        kind = registry.find(spec["kind"])
        # Nothing else is worth reading a manifest for.
        if kind is None or not kind.pins:
            continue
        try:
            data = archive.manifest(state, point, str(resource["manifest"]))
            if hashlib.sha256(data).hexdigest() != resource["sha256"]:
                continue
            registry.make(spec).release(json.loads(data))
        except FileNotFoundError:
            continue
        except (OSError, SageError, ValueError, KeyError) as error:
            reason = error.what if isinstance(error, SageError) else error
            warnings.append(f"What {spec['path']} keeps for rollback point {point['point']} was not released: {reason}")
    return warnings
