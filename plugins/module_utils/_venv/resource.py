"""A virtual environment: captured as a tree, whatever is in it; distributions are names for people."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host, names
from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_program
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions as venv_distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions


# What a change replaces; None for everything.
Names = t.Optional[t.Container[str]]
_CHOSEN: ByName[t.Callable[[Tree, t.Container[str]], list[venv_distributions.Distribution]]] = ByName(
    "_venv.capture:chosen"
)
Sources = t.Callable[[], "t.Iterator[PrivateDir]"]
_NEED: ByName[t.Callable[[Tree, Names, int | None], tuple[int, int]]] = ByName("_venv.capture:need")
_CAPTURE: ByName[t.Callable[..., Facts]] = ByName("_venv.capture:capture")
_SETTLED: ByName[t.Callable[[Layer], Facts]] = ByName("_venv.settled:settled")
_UNCHANGED: ByName[t.Callable[[Layer], bool]] = ByName("_footprint.point:unchanged")
_MEND: ByName[t.Callable[[Layer, Sources, bool], bool]] = ByName("_footprint.mend:mend")
_LOST: ByName[t.Callable[[Layer, bool], t.Iterator[str]]] = ByName("_footprint.point:lost")
_MOVED_FROM: ByName[t.Callable[[str], str]] = ByName("_venv.made_for:moved_from")
_LOST_WITH_IT: ByName[t.Callable[[str], list[str]]] = ByName("_venv.others:lost")
_SET_ASIDE: ByName[t.Callable[[str, PrivateDir], None]] = ByName("_content.whole:take_away")
_FOUND: ByName[t.Callable[[str, PrivateDir], str | None]] = ByName("_content.whole:found")
_UNDO: ByName[t.Callable[[str, t.Sequence[Layer], UndoOptions], Undo]] = ByName("_venv.undo_existence:undo")

_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


class VenvResource(Resource):
    """A virtual environment.

    :param path: absolute.
    :param distributions: mappings C(name), C(version): what the change will leave there.
    :param everything: nobody knows what the change will leave: all that is there is captured.
    :param whole: the change removes the environment; C(keep) of its undo takes all of it.
    :param holds_all: also what the change does not replace is copied where nothing can be linked.
    """

    kind = "venv"
    settles = True

    def __init__(
        self,
        path: str,
        distributions: list[dict[str, t.Any]],
        whole: bool = False,
        everything: bool = False,
        holds_all: bool = False,
    ) -> None:
        self.path = path
        self.whole = whole
        self.everything = everything
        self.holds_all = holds_all or everything
        self.wanted = {names.canonical(str(one["name"])): str(one.get("version") or "") for one in distributions}

    def plan(self) -> list[str]:
        with self._open() as venv:
            if venv is None:
                return [f"{self.path} (does not exist)"]
            every = self.everything
            registered = venv_distributions.installed(venv) if every else _CHOSEN.load()(venv, self.wanted)
            return [f"{distribution.name} {distribution.version}" for distribution in registered]

    def observe(self) -> Facts:
        with self._open() as venv:
            if venv is None:
                return {"path": self.path, "exists": False, "distributions": {}}
            results: dict[str, dict[str, t.Any]] = {}
            for distribution in venv_distributions.installed(venv) if self.wanted else ():
                if distribution.name in self.wanted:
                    top = venv_distributions.top_names(venv_distributions.readable_record(venv, distribution.info))
                    # An upgrade that was interrupted leaves two.
                    before = [str(results[distribution.name]["version"])] if distribution.name in results else []
                    version = " and ".join([*before, distribution.version])
                    results[distribution.name] = {
                        "version": version,
                        "top": sorted(f"{distribution.site}/{name}" for name in top),
                    }
        return {
            "path": self.path,
            "exists": True,
            "boot": host.boot_id(),
            **_interpreter(self.path),
            "distributions": results,
        }

    def differences(self, recorded: Facts) -> list[str]:
        with self._open() as venv:
            if venv is None:
                return [f"virtual environment {self.path} is gone"] if recorded.get("exists") else []
            if not recorded.get("exists"):
                return [f"virtual environment {self.path} was made by somebody else"]
            results = _interpreter(self.path, recorded)
            reasons = [
                f"{label} of {self.path} was {recorded.get(key)}, is {results[key] or 'gone'}"
                for key, label in (("python", "the interpreter"), ("version", "the interpreter's version"))
                if results[key] != recorded.get(key)
            ]
            facts_recorded = recorded.get("distributions") or {}
            reasons += [
                f"{name} was not there when it was recorded" for name in sorted(self.wanted.keys() - facts_recorded)
            ]
            registered = venv_distributions.by_name(venv_distributions.installed(venv)) if facts_recorded else {}
            for name, facts in sorted(facts_recorded.items()):
                versions = [distribution.version for distribution in registered.get(name, ())]
                if versions != [facts["version"]]:
                    reasons.append(f"{name} was {facts['version']}, is {' and '.join(versions) or 'gone'}")
                    continue
                missing = [path for path in facts.get("top") or () if venv.lstat(path) is None]
                reasons += [f"{path} of {name} is gone" for path in missing]
                if recorded.get("boot") != host.boot_id():
                    # After a power cut names may be there without their content.
                    lost = _lost(venv, registered[name][0].info)
                    reasons += [f"{path} of {name} has lost its content" for path in lost[:1]]
        return reasons

    def moved_from(self) -> str:
        return _MOVED_FROM.load()(self.path)

    def others(self) -> list[str]:
        return _LOST_WITH_IT.load()(self.path)

    def set_aside(self, where: PrivateDir) -> None:
        _SET_ASIDE.load()(self.path, where)

    def need(self, device: int | None = None) -> tuple[int, int]:
        with self._open() as venv:
            if venv is None or self.whole:
                return 0, 0
            return _NEED.load()(venv, self._held, device)

    @property
    def _held(self) -> Names:
        return None if self.holds_all else self.wanted

    @contextlib.contextmanager
    def _open(self) -> t.Iterator[Tree | None]:
        venv = Tree.open(self.path)
        if venv is None:
            yield None
            return
        with venv:
            yield venv

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        with self._open() as venv:
            if venv is None:
                return {"existed": False, "files": 0, "copies": 0, "bytes": 0}
            if self.whole:
                registered = {each.name: each.version for each in venv_distributions.installed(venv)}
                facts: Facts = {"existed": True, "whole": True, "distributions": registered}
                return {**facts, "owner": os.fstat(venv.fd).st_uid, "files": 0, "copies": 0, "bytes": 0}
        if farm is None:
            raise ValueError("environments are held in a farm")
        replaced = None if self.everything else self.wanted
        return {
            "existed": True,
            "whole": False,
            **_CAPTURE.load()(self.path, replaced, self._held, where, farm, watch=self.watched),
        }

    def after(self, layer: Layer) -> Facts | None:
        return _SETTLED.load()(layer) if layer.manifest.get("tables") else None

    def unchanged(self, layer: Layer) -> bool:
        if self.wanted or self.whole or self.everything or not layer.manifest.get("tables"):
            return False
        return _UNCHANGED.load()(layer)

    def lost(self, layer: Layer, thorough: bool) -> list[str]:
        if layer.manifest.get("tables"):
            return list(_LOST.load()(layer, thorough))
        if not layer.manifest["existed"]:
            return []
        is_there = _FOUND.load()(self.path, layer.where) is not None
        return [] if is_there else [f"the environment that was taken from {self.path} is not in {layer.where.path}"]

    def mend(self, layer: Layer, sources: Sources, apply: bool) -> bool:
        return bool(layer.manifest.get("tables")) and _MEND.load()(layer, sources, apply)

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        return _UNDO.load()(self.path, layers, options)


def _lost(venv: Tree, info: str) -> list[str]:
    """Files of a distribution that are gone, or shorter than its RECORD says."""
    rows = venv_distributions.record(venv, info, strict=False) or {}
    lost = []
    for path, row in rows.items():
        status = venv.lstat(path)
        if status is None or (stat.S_ISREG(status.st_mode) and status.st_size < row.size):
            lost.append(path)
    return lost


def _interpreter(venv: str, recorded: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Facts of its interpreter, which is not run when that can be avoided.

    C(python) (real path, or empty), C(version) (or empty) and C(binary) (device, inode, size, ctime).

    :param recorded: earlier facts; the same binary is not asked again.
    """
    real = os.path.realpath(os.path.join(venv, "bin", "python"))
    try:
        info = os.stat(real)
    except OSError:
        return {"python": "", "version": "", "binary": []}
    binary = [info.st_dev, info.st_ino, info.st_size, info.st_ctime_ns]
    if recorded and recorded.get("binary") == binary and recorded.get("python") == real:
        return {"python": real, "version": recorded.get("version", ""), "binary": binary}
    return {"python": real, "version": _version(os.path.join(venv, "bin", "python")), "binary": binary}


def _version(python: str) -> str:
    from ansible_collections.intellistream.sage.plugins.module_utils._base import command

    # That a record names it does not make it ours.
    check_program(python)
    try:
        # Isolated and without site: nothing that lies in the environment is run.
        completed = command.run([python, "-I", "-S", "-c", _ASK], timeout=30)
    except InstallerError:
        return ""
    return completed.stdout.strip() if completed.rc == 0 else ""
