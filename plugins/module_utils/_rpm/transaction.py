"""One transaction of rpm, offline, from package files that are held open.

rpm does not say what went wrong: C(run) returns nothing when a %post failed, and an empty list when a %pre
did. So what the callback was told is kept, and whoever runs a transaction compares the database afterwards.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import rpm_module, unsigned

#: Scriptlets whose failure keeps rpm from installing or erasing a package.
_DECIDING = ("%pretrans", "%pre", "%preun", "%preuntrans")
_SCRIPTS = {
    "PREIN": "%pre",
    "POSTIN": "%post",
    "PREUN": "%preun",
    "POSTUN": "%postun",
    "PRETRANS": "%pretrans",
    "POSTTRANS": "%posttrans",
    "PREUNTRANS": "%preuntrans",
    "POSTUNTRANS": "%postuntrans",
    "TRIGGERPREIN": "%triggerprein",
    "TRIGGERIN": "%triggerin",
    "TRIGGERUN": "%triggerun",
    "TRIGGERPOSTUN": "%triggerpostun",
}
_SAID = 4000
_STDERR = 2


class Install(t.NamedTuple):
    """A package to install.

    :ivar name: for messages.
    :ivar header: of the package file.
    :ivar open: opens the package file for reading; the descriptor is the caller's.
    :ivar beside: beside other versions of the same name, not in their place.
    """

    name: str
    header: t.Any
    open: t.Callable[[], int]
    beside: bool = False


class Failure(t.NamedTuple):
    """A scriptlet that failed.

    :ivar package: as rpm names it; a name only, of what is erased.
    :ivar script: C(%post), for instance.
    """

    package: str
    script: str

    @property
    def deciding(self) -> bool:
        """rpm leaves the package as it was because of it."""
        return self.script in _DECIDING


class Outcome(t.NamedTuple):
    """What is known of a transaction that was run.

    :ivar failures: of scriptlets, in their order.
    :ivar problems: why rpm refused, or what else it could not do.
    :ivar said: what scriptlets and rpm printed, the last of it.
    """

    failures: list[Failure]
    problems: list[str]
    said: str


class Transaction:
    """Packages in and out at once.

    :param installs: what goes in; what is older or newer of the same name goes out for it.
    :param erases: places in the database of what goes out.
    """

    def __init__(self, installs: t.Sequence[Install], erases: t.Iterable[int]) -> None:
        rpm = rpm_module()
        self._rpm = rpm
        self._installs = list(installs)
        self._open: dict[int, int] = {}
        self._failures: list[Failure] = []
        self._broken: list[str] = []
        self._ts = rpm.TransactionSet()
        # What is saved is checked by hash, and unsigned since it was packed here.
        self._ts.setVSFlags(unsigned(rpm))
        self._ts.setVfyLevel(1)
        for number, one in enumerate(self._installs):
            self._ts.addInstall(one.header, number, "i" if one.beside else "u")
        for offset in erases:
            self._ts.addErase(offset)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open = {}
        # Without this, the database stays open until the garbage is collected.
        self._ts.clean()
        self._ts.closeDB()

    def unmet(self) -> list[str]:
        """What would be left without something it depends on, for people."""
        self._ts.check()
        found = [str(problem) for problem in self._ts.problems() or []]
        self._ts.order()
        return sorted(set(found))

    def erased(self) -> dict[int, str]:
        """All that would go out, as place in the database → NEVRA; also what is obsoleted."""
        kind = self._rpm.TR_REMOVED
        return {element.DBOffset(): element.NEVRA() for element in self._ts if element.Type() == kind}

    def rehearse(self) -> list[str]:
        """What rpm would refuse: conflicting files, a full disk; nothing is changed."""
        self._ts.order()
        return self._run(self._rpm.RPMTRANS_FLAG_TEST).problems

    def run(self, without: t.Iterable[str] = (), only_database: bool = False) -> Outcome:
        """Do it.

        :param without: scriptlets to leave out, C(%pre) for instance.
        :param only_database: touch no file and run no scriptlet.
        """
        rpm, flags = self._rpm, 0
        for script in without:
            flags |= _flag(rpm, script)
        if only_database:
            self._ts.setVSFlags(unsigned(rpm) | int(vars(rpm)["_RPMVSF_NOPAYLOAD"]))
            self._ts.setVfyLevel(0)
            flags |= rpm.RPMTRANS_FLAG_JUSTDB | rpm.RPMTRANS_FLAG_NOSCRIPTS | rpm.RPMTRANS_FLAG_NOTRIGGERS
        self._ts.order()
        return self._run(flags)

    def _run(self, flags: int) -> Outcome:
        rpm, ts = self._rpm, self._ts
        ts.setFlags(flags | rpm.RPMTRANS_FLAG_NOFILEDIGEST)
        ignored = rpm.RPMPROB_FILTER_OLDPACKAGE | rpm.RPMPROB_FILTER_REPLACEPKG | rpm.RPMPROB_FILTER_REPLACEOLDFILES
        if flags & rpm.RPMTRANS_FLAG_JUSTDB:
            ignored |= rpm.RPMPROB_FILTER_REPLACENEWFILES | rpm.RPMPROB_FILTER_DISKSPACE | rpm.RPMPROB_FILTER_VERIFY
        ts.setProbFilter(ignored)
        said = os.memfd_create("rpm")
        try:
            # What scriptlets print must not get among what the module prints.
            ts.scriptFd = said
            rpm.setLogFile(said)
            refused = ts.run(self._called, "")
            size = os.lseek(said, 0, os.SEEK_END)
            text = os.pread(said, _SAID, max(0, size - _SAID)).decode("utf-8", "replace")
        finally:
            # Not None, for which rpm's module raises SystemError.
            rpm.setLogFile(_STDERR)
            os.close(said)
        # An empty list: some package could not be installed or erased, and the callback knows why.
        problems = [str(one[0] if isinstance(one, tuple) else one) for one in refused or []] + self._broken
        return Outcome(list(self._failures), problems, text.strip())

    def _called(self, what: int, amount: int, total: int, key: t.Any, dummy: t.Any) -> int | None:
        """rpm's callback; an exception here would end the process."""
        rpm = self._rpm
        if what == rpm.RPMCALLBACK_INST_OPEN_FILE:
            try:
                self._open[key] = self._installs[key].open()
            except (OSError, StoreError) as error:
                self._broken.append(f"{self._installs[key].name} cannot be read: {error}")
                return -1
            return self._open[key]
        if what == rpm.RPMCALLBACK_INST_CLOSE_FILE:
            os.close(self._open.pop(key))
        elif what == rpm.RPMCALLBACK_SCRIPT_ERROR:
            self._failures.append(Failure(self._name(key), _script(rpm, amount)))
        elif what in (rpm.RPMCALLBACK_UNPACK_ERROR, rpm.RPMCALLBACK_CPIO_ERROR):
            self._broken.append(f"{self._name(key)} cannot be unpacked")
        return None

    def _name(self, key: t.Any) -> str:
        return self._installs[key].name if isinstance(key, int) else str(key)


def _script(rpm: t.Any, tag: int) -> str:
    """The name that people give a scriptlet."""
    for name, script in _SCRIPTS.items():
        if getattr(rpm, f"RPMTAG_{name}", None) == tag:
            return script
    return f"scriptlet {tag}"


def _flag(rpm: t.Any, script: str) -> int:
    """The flag that leaves a kind of scriptlet out; 0 where rpm has none."""
    name = {"%pre": "NOPRE", "%preun": "NOPREUN", "%pretrans": "NOPRETRANS", "%preuntrans": "NOPREUNTRANS"}.get(script)
    return int(getattr(rpm, f"RPMTRANS_FLAG_{name}", 0))


def later_than(tid: int) -> None:
    """Wait until a transaction would get a larger TID: they are seconds, and undoing by date goes by them.

    Only for what is a matter of moments: a clock that was set back is not waited for.
    """
    while 0 <= tid - time.time() + 1 <= 3 and int(time.time()) <= tid:
        time.sleep(0.05)


def refused(problems: t.Sequence[str]) -> RollbackError:
    """The error for a transaction that rpm refuses."""
    return RollbackError(
        f"rpm refuses to go back: {'; '.join(problems) or 'it does not say why'}.",
        untouched="every package.",
        advice="Mend what is named, then run the same rollback again.",
        problems=list(problems),
    )


def halfway(problems: t.Sequence[str], said: str) -> RollbackError:
    """The error for a transaction that did not get to its end: packages may be of either side, or of both."""
    told = f" It said: {said}" if said else ""
    return RollbackError(
        f"rpm could not finish going back: {'; '.join(problems)}.{told}",
        untouched="what was captured; it can still be used.",
        advice="Mend what is named, then run the same rollback again: it continues.",
        problems=list(problems),
    )
