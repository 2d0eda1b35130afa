"""The way back to a virtual environment that was not there, and from there again to the one that was."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv import others as venv_others
from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import SEEDS
from ansible_collections.intellistream.sage.plugins.module_utils._venv.made_for import moved_from
from ansible_collections.intellistream.sage.plugins.module_utils._venv.undo import VenvUndo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


def undo(path: str, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
    """The way back to a captured environment, or to its absence.

    :raises InputError: a rollback in between removed the environment as a whole.
    """
    if layers[0].manifest.get("whole"):
        return VenvReturn(path, layers[0], options)
    for layer in layers if layers[0].manifest["existed"] else ():
        if layer.manifest.get("whole"):
            raise _removed_between(path, os.path.basename(os.path.dirname(layer.where.path)))
    if not all(layer.manifest["existed"] for layer in layers):
        return VenvRemoval(path, layers, options)
    return VenvUndo(path, layers, options)


def _removed_between(path: str, point: str) -> InputError:
    return InputError(
        f"Between the target and now a rollback removed {path} as a whole.",
        untouched="everything.",
        advice=f"Roll back to {point} first, which brings it back; then to what you want.",
    )


class VenvRemoval(Undo):
    """Removes an environment that an installation made.

    :param path: the environment.
    :param layers: its captures, oldest first; it was absent at one of them at least.
    """

    whole = True

    def __init__(self, path: str, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        super().__init__()
        self.path = path
        self.broken = f"{path}.broken-{options.keep_broken}" if options.keep_broken else ""
        absent = next(layer for layer in layers if not layer.manifest["existed"])
        self.stays = options.erase_after is not None and absent.time <= options.erase_after
        if self.stays:
            self.kept.append(path)
            return
        if absent is not layers[0]:
            self.conflicts.append(
                f"{path} was removed by somebody between two installations; what was in it then was not captured"
            )
        unfinished = [layer.manifest.get("captured_ns", 0) for layer in layers if not layer.completed]
        self.since: int | None = min(unfinished) if unfinished else None
        venv = Tree.open(path)
        if venv is not None:
            with venv:
                self._judge(venv, options)
            self.plan["remove"].append(path if not self.broken else f"{path} (kept as {self.broken})")
        self.plan["remove"] += whole.remains(path)[1 if venv is not None else 0 :]

    def _judge(self, venv: Tree, options: UndoOptions) -> None:
        self.plan["erase"] += [f"{each.name} {each.version}" for each in distributions.installed(venv)]
        others = venv_others.find(venv, (options.ours.get("venv") or {}).get(self.path) or {})
        self.conflicts += [
            f"{each.name} in {self.path} was installed by somebody else and would be removed with it"
            for each in others.distributions
            if not each.instead_of
        ]
        # What was changed since is most likely half written by the installer that was killed.
        self.conflicts += [
            f"{venv.name(each.path)} was edited by somebody"
            for each in others.edited
            if self.since is None or each.changed_ns < self.since
        ]
        # A killed installer leaves files that nobody lists.
        if self.since is None and not self.conflicts:
            self.conflicts += [f"{venv.name(each.path)} was put there by somebody" for each in others.paths]

    def check(self) -> None:
        return

    def redo(self) -> Facts | None:
        if self.broken or not self.touches():
            return None
        return {"kind": "venv", "path": self.path, "whole": True}

    def execute(self) -> None:
        if not self.stays:
            whole.take_away(self.path, self.into, self.broken)

    def verify(self) -> list[str]:
        return [] if self.stays else [f"{path} is still there" for path in whole.remains(self.path)]


class VenvReturn(Undo):
    """Brings back an environment that a rollback removed.

    :param layer: the capture made by that rollback.
    """

    whole = True

    def __init__(self, path: str, layer: Layer, options: UndoOptions) -> None:
        super().__init__()
        self.path = path
        self.layer = layer
        stored = whole.found(path, layer.where)
        made_for = moved_from(path, stored or "")
        if made_for:
            # It is as it was, and that was no environment that works.
            self.inexact.append(
                f"the commands of {path}, which name {made_for} and may not work: install again, which makes it anew "
                f"with the same versions, or move it back there"
            )
        self.absent = stored is None
        if self.absent:
            return
        self.plan["install"] = [f"{name} {version}" for name, version in layer.manifest["distributions"].items()]
        self.plan["restore"].append(path)
        venv = Tree.open(path)
        if venv is None:
            return
        with venv:
            brought = (options.ours.get("venv") or {}).get(path) or {}
            for distribution in distributions.installed(venv):
                self.plan["erase"].append(f"{distribution.name} {distribution.version}")
                if distribution.name not in brought and distribution.name not in SEEDS:
                    self.conflicts.append(
                        f"{distribution.name} {distribution.version} in {path} was installed by somebody else"
                    )

    def check(self) -> None:
        if self.absent and not os.path.isdir(self.path):
            raise StoreError(
                f"The environment that was removed from {self.path} is not in {self.layer.where.path} any more.",
                untouched="everything.",
                advice="Install again.",
                file=self.layer.where.path,
            )
        stored, owner = whole.found(self.path, self.layer.where), self.layer.manifest.get("owner")
        if stored is not None and os.lstat(stored).st_uid != owner:
            raise StoreError(
                f"{stored} belongs to user id {os.lstat(stored).st_uid}, the environment it was belonged to {owner}.",
                untouched="everything.",
                advice="Somebody put it there. Remove it, and install again.",
                file=stored,
            )

    def redo(self) -> Facts | None:
        return {"kind": "venv", "path": self.path, "whole": os.path.lexists(self.path)} if self.touches() else None

    def execute(self) -> None:
        if self.absent:
            return
        if whole.kept(self.path, self.layer.where) is not None:
            whole.take_away(self.path, self.into)
        whole.bring_back(self.path, self.layer.where)

    def verify(self) -> list[str]:
        venv = Tree.open(self.path)
        if venv is None:
            return [f"{self.path} is absent"]
        with venv:
            current = {distribution.name: distribution.version for distribution in distributions.installed(venv)}
        was = self.layer.manifest["distributions"]
        return [
            f"{name} is {current.get(name, 'absent')}, was {was.get(name, 'absent')}"
            for name in sorted({*current, *was})
            if current.get(name) != was.get(name)
        ]
