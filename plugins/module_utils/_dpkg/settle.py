"""Whether packages can be captured as they are, and whether a change of them succeeded."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, ChangeFailed

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database

# What the state of a package that is not properly there says of its scripts.
_FAILED = {
    "half-installed": "it was unpacked or removed halfway: its preinst, prerm or postrm failed, or dpkg was ended",
    "unpacked": "it is unpacked but not configured: its postinst did not run, or what it depends on failed",
    "half-configured": "its postinst failed",
    "triggers-awaited": "it waits for another package's trigger",
    "triggers-pending": "its trigger did not run",
}


def capturable(database: Database) -> None:
    """Refuse what could not be put back.

    :raises CaptureError: with what is wrong.
    """
    if os.geteuid() != 0:
        raise CaptureError(
            "Packages can only be captured by root: others cannot read all of their files.",
            untouched="everything.",
            advice="Run it with become: true.",
        )
    unfinished = [f"{one.key} {one.version} ({one.state})" for one in database.unfinished()]
    if not database.pending() and not unfinished:
        return
    what = f"these are not completely installed: {', '.join(unfinished)}" if unfinished else "dpkg was ended halfway"
    raise CaptureError(
        f"Packages cannot be captured now: {what}.",
        untouched="everything.",
        advice="Run `dpkg --configure -a` and, if that does not help, `apt-get --fix-broken install`; then run again.",
        packages=[one.key for one in database.unfinished()],
    )


def succeeded(database: Database) -> None:
    """See whether a change really succeeded.

    :raises ChangeFailed: it did not; with the packages and what their state says.
    """
    failed = {one.key: _FAILED.get(one.state, "it has to be reinstalled") for one in database.unfinished()}
    if database.pending() and not failed:
        failed["dpkg"] = "it was ended halfway"
    if failed:
        raise ChangeFailed(
            "The change of packages did not succeed: " + "; ".join(f"{key}: {why}" for key, why in failed.items()),
            untouched="what has changed so far.",
            advice="Roll back, or mend the packages (`dpkg --configure -a`).",
            packages=sorted(failed),
        )
