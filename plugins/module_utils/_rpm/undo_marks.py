"""Why dnf thinks that a package is there, as it was: it decides what C(dnf autoremove) takes away.

Written as C(dnf mark) writes it, an entry in dnf's history of its own.
"""

from __future__ import annotations

import importlib
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import dnf_module


def _base() -> t.Any:
    """dnf with what is installed, without any repository; None without dnf."""
    dnf = dnf_module()
    if dnf is None:
        return None
    base = dnf.Base()
    try:
        base.fill_sack(load_system_repo=True, load_available_repos=False)
    except BaseException:
        base.close()
        raise
    return base


def _each(base: t.Any, wanted: t.Mapping[tuple[str, str, str], str]) -> t.Iterator[tuple[t.Any, str]]:
    """The installed packages whose reason is another than wanted."""
    for package in base.sack.query().installed():
        evr = f"{package.version}-{package.release}"
        evr = f"{package.epoch}:{evr}" if package.epoch else evr
        reason = wanted.get((package.name, package.arch, evr))
        if reason and package.reason != reason:
            yield package, reason


def differing(wanted: t.Mapping[tuple[str, str, str], str]) -> list[str]:
    """Which packages have another reason than wanted, for people.

    :param wanted: name, architecture and C([epoch:]version-release) → reason.
    """
    wanted = {package: reason for package, reason in wanted.items() if reason}
    base = _base() if wanted else None
    if base is None:
        return []
    try:
        return [f"{package.name} is marked {package.reason}, was {reason}" for package, reason in _each(base, wanted)]
    finally:
        base.close()


def put_back(wanted: t.Mapping[tuple[str, str, str], str]) -> None:
    """Make the reasons what they were.

    :raises RollbackError: dnf cannot write its history.
    """
    wanted = {package: reason for package, reason in wanted.items() if reason}
    base = _base() if wanted else None
    if base is None:
        return
    reasons = importlib.import_module("libdnf.transaction")
    failure = importlib.import_module("libdnf.error").Error
    try:
        found = list(_each(base, wanted))
        for package, reason in found:
            base.history.set_reason(package, reasons.StringToTransactionItemReason(reason))
        if found:
            last = base.history.last()
            version = last.end_rpmdb_version if last is not None else ""
            base.history.beg(version, [], [], cmdline="intellistream.sage rollback")
            base.history.end(version)
    except (failure, RuntimeError) as error:
        raise RollbackError(
            f"dnf's reasons for packages cannot be put back: {error}",
            untouched="the packages are what they were.",
            advice="Mend dnf's history, then run the same rollback again.",
        ) from error
    finally:
        base.close()
