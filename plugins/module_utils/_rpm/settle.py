"""What a change of rpm packages left, and whether it failed although nobody said so.

dnf 4 records scripts that failed, and packages it left half done. rpm used directly records nothing: after
C(rpm -U) only a package that is there twice, or gone although it was to be there, shows a failure.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ChangeFailed
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import (
    capture,
    database,
    dnf_history,
    scripts,
    unplanned,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package


def left(ts: t.Any, manifest: Facts, state: str) -> Facts:
    """The facts of C(_rpm/resource.py) about what is there after the change.

    That a planned change did not happen at all is no failure: the change may have been asked for less than
    the capture was. Nor is another version than the planned one, which a repository got meanwhile.

    :param state: that was asked for.
    :raises ChangeFailed: a script failed, or a package was left half done.
    """
    concerned = {one["key"]: one for one in manifest["changes"]}
    there = database.installed(ts)
    failures = dnf_history.failed(manifest["history"], {one["name"] for one in concerned.values()})
    facts: Facts = {"known": {}, "config": {}, "inexact": {}, "unplanned": unplanned.found(manifest, there)}
    with Directories() as directories:
        for key, change in concerned.items():
            now = there.get(key, [])
            failures += _broken(key, change, now, state)
            if now:
                facts["known"][key] = database.versions(now)
            for package in now:
                header = database.header_at(ts, package.offset)
                facts["config"].update(capture.configuration(header, directories))
                why = scripts.inexact(header)
                if why:
                    facts["inexact"][key] = why
    if failures:
        raise ChangeFailed(
            f"The change of packages was reported as done, but {'; '.join(failures)}.",
            advice="Roll it back, or find out what the script wanted and run the change again.",
            failures=failures,
        )
    return facts


def _broken(key: str, change: t.Mapping[str, t.Any], now: t.Sequence[Package], state: str) -> list[str]:
    """How what is there shows that a change of a package failed."""
    if len(now) > 1:
        return [f"{key} is installed twice ({' and '.join(one.evr for one in now)})"]
    # What depends on a removed package, dnf removes by its command and, if it can, downgrades by Ansible's module.
    if not now and change["before"] and change["after"] and state != "absent":
        return [f"{key} {change['after']} is not installed"]
    return []
