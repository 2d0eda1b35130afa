# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an installation stands in its fleet run, read from what is recorded.

The protocol is in docs/fleet.md, its steps on a host in M(_fleet.participant).
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation

COMMIT, ABORT = "commit", "abort"

IN_DOUBT = "in_doubt"
ABORTING = "aborting"
GOING_BACK = "going_back"
UNDID_ITSELF = "undid_itself"
COMMITTED = "committed"
ABORTED = "aborted"
DIVERGED = "diverged"

# Whoever comes has to ask for the decision, and tell it, before anything else.
ASKS = (IN_DOUBT, UNDID_ITSELF)


class Standing(t.NamedTuple):
    """How an installation stands in its fleet run.

    :ivar state: V(in_doubt); V(aborting), it has to go back all the way; V(going_back), so it has, as that was
        committed; V(undid_itself), it went back without having heard the decision; V(committed); V(aborted);
        V(diverged), it went back although the decision was to stay.
    :ivar place: the identity of the place where the decision is.
    :ivar where: the same for people.
    :ivar since: ISO time when it was prepared.
    :ivar back: the rollback that the run is about, fields of M(_undo.rollback.Request); None for an installation.
    """

    state: str
    install_id: str
    run: str
    place: str
    where: str
    since: str
    decision: str | None
    back: dict[str, t.Any] | None = None

    @property
    def asks(self) -> bool:
        """The decision is needed before anything else may begin here."""
        return self.state in ASKS

    @property
    def to(self) -> str | None:
        """What has to be rolled back to; None when nothing has to be."""
        if self.state == GOING_BACK and self.back is not None:
            return str(self.back["to"])
        return self.install_id if self.state == ABORTING else None

    def as_dict(self) -> dict[str, t.Any]:
        """The standing as JSON-able data."""
        return {**self._asdict(), "asks": self.asks, "to": self.to}


def standing(installation: Installation | None) -> Standing | None:
    """How an installation stands in its fleet run; None when it never was prepared for one."""
    fleet = installation.fleet if installation is not None else None
    if installation is None or fleet is None:
        return None
    run, place, where, since = (str(fleet.get(name) or "") for name in ("run", "place", "where", "since"))
    state = _state(installation, fleet)
    return Standing(state, installation.install_id, run, place, where, since, fleet.get("decision"), fleet.get("back"))


def _state(installation: Installation, fleet: dict[str, t.Any]) -> str:
    decision = fleet.get("decision")
    if fleet.get("back"):
        return _state_of_promise(installation, fleet)
    if installation.status == "prepared":
        # A rollback that was begun can only be finished, whoever began it.
        return ABORTING if decision or installation.undoing else IN_DOUBT
    if decision is None:
        return UNDID_ITSELF
    if decision == ABORT:
        return ABORTED if installation.status == "rolled_back" else ABORTING
    if fleet.get("diverged") or (fleet.get("alone") and installation.status != "completed"):
        return DIVERGED
    return COMMITTED


def _state_of_promise(installation: Installation, fleet: dict[str, t.Any]) -> str:
    if fleet.get("decision") is None:
        return IN_DOUBT
    if fleet["decision"] == COMMIT:
        return GOING_BACK if installation.promised else COMMITTED
    alone = fleet.get("alone") and installation.status == "rolled_back"
    return DIVERGED if fleet.get("diverged") or alone else ABORTED
