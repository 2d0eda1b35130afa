"""What a change of rpm packages is going to install, upgrade, downgrade and remove: asked of dnf's own resolver.

Where there is no dnf 4, rpm itself answers for package files and for removals.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import PackageChange

_HISTORY = "/var/lib/dnf/history.sqlite"
_PATIENCE = 60.0
_PAUSE = 0.2


class _One(t.NamedTuple):
    """A package in a plan.

    :ivar optional: removed only where dnf removes what is not needed any more, which Ansible does not.
    :ivar files: what a new one brings; None when that is not known.
    """

    name: str
    arch: str
    evr: str
    installonly: bool
    optional: bool = False
    files: tuple[str, ...] | None = ()

    @property
    def key(self) -> str:
        """As C(_rpm/database.key_of) makes it."""
        if self.installonly:
            return f"{self.name}-{self.evr.rpartition(':')[2]}.{self.arch}"
        return f"{self.name}.{self.arch}"


def plan(
    ts: t.Any,
    packages: t.Sequence[str],
    state: str,
    incoming: dict[str, t.Sequence[str] | None] | None = None,
) -> list[PackageChange]:
    """The changes that bring C(packages) to C(state), by key; C(optional) marks those that may not come.

    :param packages: as dnf takes them; C(*) alone with C(latest) upgrades everything.
    :param state: C(present), C(latest) or C(absent).
    :param incoming: takes the paths of what is new, by key; None where they are not known.
    :raises CaptureError: it cannot be done, in the resolver's words.
    """
    groups = [name for name in packages if name.startswith("@")]
    if groups:
        raise CaptureError(
            f"{', '.join(groups)}: groups and modules cannot be planned.",
            untouched="everything.",
            advice="Name the packages themselves.",
        )
    dnf = database.dnf_module()
    before, after = _by_rpm(ts, packages, state) if dnf is None else _by_dnf(dnf, packages, state)
    found: dict[str, PackageChange] = {}
    for one in before:
        found[one.key] = {"key": one.key, "name": one.name, "arch": one.arch, "before": one.evr, "after": None}
        if one.optional:
            found[one.key]["optional"] = True
    for one in after:
        if incoming is not None:
            incoming[one.key] = one.files
        new: PackageChange = {"key": one.key, "name": one.name, "arch": one.arch, "before": None, "after": None}
        found.setdefault(one.key, new)["after"] = one.evr
        found[one.key].pop("optional", None)
    return [found[key] for key in sorted(found)]


def _by_dnf(dnf: t.Any, packages: t.Sequence[str], state: str) -> tuple[list[_One], list[_One]]:
    hawkey = importlib.import_module("hawkey")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _resolved(dnf, packages, state)
        except dnf.exceptions.LockError as error:
            if time.monotonic() >= deadline:
                raise _refused(f"dnf is at work ({error})", "Wait for it to end, then run again.") from error
            time.sleep(_PAUSE)
        except dnf.exceptions.RepoError as error:
            # What dnf knows of the repository may be enough.
            for lists in (True, False):
                with contextlib.suppress(dnf.exceptions.Error, hawkey.Exception):
                    return _resolved(dnf, packages, state, cached=True, lists=lists)
            raise _refused(str(error), "Make the repository reachable, then run again.") from error
        except (dnf.exceptions.Error, hawkey.Exception, RuntimeError, OSError) as error:
            raise _refused(str(error), "Run the same with dnf and --assumeno, and mend what it says.") from error


def _refused(why: str, advice: str) -> CaptureError:
    return CaptureError(f"dnf cannot plan this change: {why}.", untouched="everything.", advice=advice)


def _resolved(
    dnf: t.Any, packages: t.Sequence[str], state: str, cached: bool = False, lists: bool = True
) -> tuple[list[_One], list[_One]]:
    names = database.installonly_names()
    with _base(dnf, cached, lists) as base:
        for name in packages:
            _request(dnf, base, name, state)
        base.resolve(allow_erasing=state == "absent")
        if base.transaction is None:
            return [], []
        clean = {str(one.pkg) for one in base.transaction if one.reason == _clean()}
        before = [_of_dnf(one, names, clean) for one in base.transaction.remove_set]
        after = [
            _of_dnf(one, names, ())._replace(files=tuple(one.files) if _is_listed(base, one) else None)
            for one in base.transaction.install_set
        ]
    return before, after


def _is_listed(base: t.Any, package: t.Any) -> bool:
    """Whether all files of a package are known: the repository has lists of them, and they are here."""
    repository = base.repos.get(package.reponame)
    return repository is None or bool(repository.get_metadata_path("filelists"))


def _clean() -> int:
    return int(importlib.import_module("libdnf.transaction").TransactionItemReason_CLEAN)


def _of_dnf(package: t.Any, names: t.AbstractSet[str], clean: t.Container[str]) -> _One:
    provides = {str(one).partition(" ")[0] for one in package.provides}
    installonly = package.name == "gpg-pubkey" or not names.isdisjoint(provides)
    return _One(package.name, package.arch, package.evr, installonly, str(package) in clean)


@contextlib.contextmanager
def _base(dnf: t.Any, cached: bool, lists: bool) -> t.Iterator[t.Any]:
    """dnf as Ansible's module and its command set it up, except that it writes no log.

    :param lists: load the lists of files, as dnf did by itself up to 4.18: what a package overwrites must be known.
    """
    work = tempfile.mkdtemp(prefix="sage-dnf-")
    base = dnf.Base()
    try:
        conf = base.conf
        conf.read()
        conf.substitutions.update_from_etc("/")
        if conf.substitutions.get("releasever") is None:
            conf.substitutions["releasever"] = ""
        conf.logdir = work
        # Others' dnf is waited for here, not in dnf, which does so for ever.
        conf.exit_on_lock = True
        conf.assumeyes = True
        conf.debuglevel = 0
        if not os.path.exists(_HISTORY):
            # It would be made.
            conf.persistdir = work
        base.init_plugins()
        base.pre_configure_plugins()
        base.read_all_repos()
        base.configure_plugins()
        if hasattr(conf, "optional_metadata_types") and lists:
            conf.optional_metadata_types = ["filelists"]
        if cached:
            base.fill_sack_from_repos_in_cache()
        else:
            base.fill_sack(load_system_repo=True)
        yield base
    finally:
        # Else the next one in this process has none.
        with contextlib.suppress(KeyError):
            base.unload_plugins()
        base.close()
        shutil.rmtree(work, ignore_errors=True)


def _request(dnf: t.Any, base: t.Any, name: str, state: str) -> None:
    """Ask for one name, as Ansible's dnf module does; a version that is older than what is there is asked for, too."""
    if name.endswith(".rpm") or "://" in name:
        if state == "absent":
            raise dnf.exceptions.MarkingError("a package file cannot be removed, name its package", name)
        for package in base.add_remote_rpms([name]):
            base.package_install(package)
        return
    if state == "absent":
        # What is not there needs no removal.
        with contextlib.suppress(dnf.exceptions.MarkingError):
            base.remove(name)
        return
    if name == "*" and state == "latest":
        base.upgrade_all()
        return
    there = dnf.subject.Subject(name).get_best_query(base.sack).installed().run()
    if state == "latest":
        base.conf.best = True
    if there and state == "latest":
        base.upgrade(name)
    elif not there:
        base.install(name)


def _by_rpm(ts: t.Any, packages: t.Sequence[str], state: str) -> tuple[list[_One], list[_One]]:
    """What rpm says, where there is no dnf."""
    rpm = database.rpm_module()
    names = database.installonly_names()
    change = database.transaction_set()
    added: list[_One] = []
    for name in packages:
        if state == "absent":
            for package in database.named(ts, name):
                change.addErase(package.offset)
            continue
        if not name.endswith(".rpm"):
            if state == "present" and database.named(ts, name):
                continue
            raise CaptureError(
                f"Without dnf 4 and its python3-dnf nobody can say what installing {name} changes.",
                untouched="everything.",
                advice="Install python3-dnf, name package files (.rpm), or tell the changes themselves.",
            )
        with open(name, "rb") as stream:
            header = change.hdrFromFdno(stream.fileno())
        installonly = database.is_installonly(header, names)
        change.addInstall(header, name, "i" if installonly else "u")
        one = _One(header["NAME"], database.arch_of(header), database.evr_of(header), installonly)
        one = one._replace(files=tuple(header["FILENAMES"] or ()))
        added.append(one)
    change.check()
    problems = [str(problem) for problem in change.problems()]
    if problems:
        raise CaptureError(f"rpm cannot do this change: {'; '.join(problems)}.", untouched="everything.")
    change.order()
    gone = [one for one in change if one.Type() == rpm.TR_REMOVED]
    before = []
    for one in gone:
        evr = (f"{one.E()}:" if one.E() not in (None, "", "0") else "") + f"{one.V()}-{one.R()}"
        packages_ = [of for of in database.named(ts, one.N()) if (of.arch, of.evr) == (one.A(), evr)]
        before += [_One(of.name, of.arch, of.evr, of.installonly) for of in packages_]
    return before, added
