"""Whether the recorded results of phases still hold; only what is cheap to look at is looked at."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Observed


def drift(results: t.Iterable[Observed]) -> list[str]:
    """How the results of a phase differ from what was recorded of them."""
    reasons: list[str] = []
    for result in results:
        try:
            spec, facts = result["spec"], result["facts"]
            resource = make(spec)
            if facts.get("exists") is False:
                # Another run of the same root took it away in between.
                reasons.append(f"{resource.path} was not there when it ended")
            else:
                reasons += resource.differences(facts)
        except SageError as error:
            reasons.append(error.what)
    return reasons
