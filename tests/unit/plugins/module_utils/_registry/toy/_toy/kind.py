# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kind of links that name the release in use."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind, VersionsChange

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import TakenResource

_RESOURCE: ByName[t.Callable[[str], Resource]] = ByName("_toy.resource:ToyResource")


class ToyKind(Kind):
    """Links that name the release in use."""

    name = "toy"
    options = {"path": {"type": "path"}, "release": {"type": "str"}}
    drifts_when_settled = True
    script = "_toy.script:ToyScript"

    def make(self, spec: Spec) -> Resource:
        return _RESOURCE.load()(self.path_of(spec))

    def brought(self, spec: Spec) -> list[tuple[str, str]]:
        return [("release", spec["release"])] if spec.get("release") else []

    def change(self, spec: Spec, captured: TakenResource, manifest: t.Callable[[], Facts | None]) -> VersionsChange:
        facts = manifest()
        before = {"release": facts["release"]} if facts is not None else None
        return VersionsChange(str(spec["path"]), before, after=dict(self.brought(spec)))

    def versions(self, facts: Facts) -> dict[str, str]:
        return {"release": facts["release"]}
