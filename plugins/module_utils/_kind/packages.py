"""What the kinds of packages of an operating system have in common."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind, VersionsChange

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import TakenResource

STATES = ("present", "latest", "absent")
ResourceClass = t.Callable[[list[str], str, list["Facts"]], "Resource"]


class PackagesKind(Kind):
    """Packages that a change installs, upgrades or removes.

    :cvar resource: C(_folder.module:class) of the resource.
    :cvar command_back: what brings captured versions back, with C({where}) for the directory of package files.
    :cvar command_away: what removes packages whose names follow.
    """

    alias = "packages"
    system = True
    options = {
        "packages": {"type": "list", "elements": "str"},
        "state": {"type": "str", "choices": list(STATES), "default": "present"},
        "changes": {"type": "list", "elements": "dict"},
    }
    identity = ("packages", "changes")
    drifts_when_settled = True
    removal = "_kind.packages_removal:removal"
    no_script = "packages of the system were changed, which this script does not bring back."
    resource: t.ClassVar[str]
    command_back: t.ClassVar[str]
    command_away: t.ClassVar[str]

    def make(self, spec: Spec) -> Resource:
        packages = [str(name) for name in spec.get("packages") or []]
        planned = [dict(change) for change in spec.get("changes") or []]
        if not packages and not planned:
            raise InputError(f"A resource of kind {self.name} needs packages.", untouched="everything.")
        for name in packages:
            # It goes to a command line.
            if not name or name.startswith("-") or any(char.isspace() for char in name):
                raise InputError(f"{name!r} is not a name of a package.", untouched="everything.")
        resource: ByName[ResourceClass] = ByName(self.resource)
        return resource.load()(packages, str(spec.get("state") or "present"), planned)

    def recorded(self, spec: Spec) -> Facts:
        spec_kept = super().recorded(spec)
        if "packages" not in spec_kept:
            # The modules' default, which means nothing here.
            spec_kept.pop("state", None)
        return spec_kept

    def change(
        self, spec: Spec, captured: TakenResource, manifest: t.Callable[[], Facts | None]
    ) -> VersionsChange | None:
        if not captured.get("changes"):
            return None
        before: dict[str, str] = {}
        after: dict[str, str | None] = {}
        for name, change in changes.named(captured["changes"]):
            version = change.get("before")
            if version:
                before[name] = version
            after[name] = change.get("after")
        return VersionsChange(str(captured.get("path")), before, after=after)

    def by_hand(self, facts: Facts) -> list[str]:
        certain = [change for change in facts.get("changes") or [] if not change.get("optional")]
        new = sorted({str(change["name"]) for change in certain if change.get("after") and not change.get("before")})
        commands = [self.command_back] if any(change.get("before") for change in certain) else []
        return commands + ([f"{self.command_away} {' '.join(map(shlex.quote, new))}"] if new else [])
