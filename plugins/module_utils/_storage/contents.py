"""Reading the repackage store: where it is, and what is in it.

It is C(<checkpoints>/store), or where the file C(<checkpoints>/store.path) says.
C(<store>/<install_id>/<point>/<n>.json) is the manifest of the point's n-th resource,
C(<n>.items) the list of its content, C(<n>/) the content. The list's SHA-256 is in the manifest, the
manifest's in the ledger, whose chain protects it. C(<store>/farm/) has content that no point has been given yet. What
writes to it is in M(_storage.store).
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Items
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_private

if t.TYPE_CHECKING:
    from contextlib import ExitStack

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

STORE = "store"
# Tells where the store is, when that is elsewhere.
PLACE = "store.path"
# Beside the installations, whose names begin with a digit.
FARM = "farm"
_UNSETTLED = "unsettled"
FORMAT = 3


def elsewhere(state: PrivateDir) -> str:
    """Where the store is, when it is not below the state; else empty."""
    return os.fsdecode((state.read(PLACE) or b"").rstrip(b"\n"))


def path_of(state: PrivateDir) -> str:
    """Where the store is, or would be."""
    return elsewhere(state) or os.path.join(state.path, STORE)


def opened(state: PrivateDir, create: bool = False) -> PrivateDir:
    """The store.

    :raises FileNotFoundError: there is none and C(create) is false.
    """
    path = elsewhere(state)
    return open_private(path, create, state.readonly) if path else state.child(STORE, create)


def farm_dir(state: PrivateDir, create: bool = False) -> PrivateDir:
    """The root's farm: content that no point has been given yet, see M(_footprint.farm).

    :raises FileNotFoundError: there is none and C(create) is false.
    """
    with opened(state, create) as store:
        return store.child(FARM, create)


def farm_of(state: PrivateDir, point: str, manifest: t.Mapping[str, t.Any], stack: ExitStack) -> PrivateDir | None:
    """The farm that a capture's content lies in until the change has ended; None where the point has all of it.

    :param point: that the capture is of.
    :param stack: closes it.
    """
    try:
        farm = stack.enter_context(farm_dir(state)) if manifest.get("farm") else None
    except FileNotFoundError:
        return None
    return farm if farm is not None and point in unsettled(farm) else None


def unsettled(farm: PrivateDir) -> list[str]:
    """Rollback points that rely on a farm, in the order of their captures; some of them perhaps not any more."""
    return (farm.read(_UNSETTLED) or b"").decode().split()


def note_unsettled(farm: PrivateDir, points: t.Sequence[str]) -> None:
    """Note which rollback points rely on a farm, durably.

    :raises StorageError: the disk refused; it knows those that it knew.
    """
    farm.write(_UNSETTLED, "".join(f"{point}\n" for point in points).encode())


def install_ids(store: PrivateDir) -> list[str]:
    """Changes that something is in the store of, oldest first."""
    return [name for name in store.names() if name != FARM]


def point_dir(state: PrivateDir, install_id: str, point: str, create: bool = False) -> PrivateDir:
    """The directory of one rollback point.

    :raises FileNotFoundError: there is none and C(create) is false.
    """
    with opened(state, create) as store, store.child(install_id, create) as installation:
        return installation.child(point, create)


def content_dir(point: PrivateDir, number: int, create: bool = False) -> PrivateDir:
    """The directory of the content of the point's C(number)-th resource."""
    return point.child(str(number), create)


def items(point: PrivateDir, number: int, manifest: t.Mapping[str, t.Any]) -> Items:
    """The list of the C(number)-th resource's content, checked against the hash in its manifest.

    :raises StoreError: it is missing or was changed.
    """
    return Items(point, f"{number}.items", manifest["items"])


def read_manifest(point: PrivateDir, resource: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The manifest a C(captured) event names, checked against the hash in the ledger.

    :raises StoreError: it is missing or was changed.
    :raises UnknownFormat: it is of another format.
    """
    name = str(resource.get("manifest"))
    data = point.read(name) if name.endswith(".json") and "/" not in name else None
    path = os.path.join(point.path, name)
    if data is None:
        raise StoreError(
            f"The manifest {path} is missing.",
            untouched="everything.",
            advice="Restore the store from a copy; without it this rollback point cannot be used.",
            file=path,
        )
    if hashlib.sha256(data).hexdigest() != resource.get("sha256"):
        raise StoreError(
            f"The manifest {path} is not the one the ledger recorded.",
            untouched="everything.",
            advice="Somebody changed it. Restore the store from a copy.",
            file=path,
        )
    manifest: dict[str, t.Any] = json.loads(data)
    if manifest.get("format") != FORMAT:
        raise UnknownFormat(
            f"The manifest {path} has format {manifest.get('format')!r}, this version reads {FORMAT}",
            file=path,
            format=manifest.get("format"),
            known=FORMAT,
        )
    return manifest
