# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole system's state, as files and as its package managers tell it, without any of the collection's code.

    before = oracle.snapshot()
    …
    assert oracle.diff(before, oracle.snapshot()) == []

On a host it is a program: `oracle.py save FILE`, and `oracle.py diff FILE` prints what differs and exits 1 if anything
does. Paths after FILE are left out of the comparison. It needs Python 3.9 and nothing else.

A snapshot is a flat dict, key → text: `file /etc/foo` → kind, mode, owner, group, size, SHA-256 or target, extended
attributes; `dpkg foo:amd64 Version` and so on for every field that dpkg's status has; apt's marks, diversions,
statoverrides, `dpkg -V`; `rpm foo-1-1.noarch REQUIRENEVRS` and so on for what matters of its header, `rpm -Va`,
what dnf knows as wanted by the user. Times of files are not compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import typing as t

# What changes by looking at it or with time, what the container brings, and the tests' own.
EXCLUDED = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/.base",
    "/collections",
    "/library",
    "/venv",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/var/log",
    "/var/cache",
    "/var/tmp",
    "/var/lib/systemd",
    "/root/.ansible",
    # Told by dpkg, apt, rpm and dnf below; what else is in these directories is compared.
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/available",
    "/var/lib/dpkg/available-old",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/dpkg/statoverride-old",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/triggers/Lock",
    "/var/lib/apt",
    "/var/lib/rpm",
    "/var/lib/dnf",
)

Snapshot = dict[str, str]
# What was told of a file, for as long as nothing can have changed it.
_told: dict[tuple[int, ...], str] = {}

# Of an rpm's header: what it is, needs, does and owns. Sizes, modes and times of files are the disk's, above; the
# time of installation, and what describes the archive it came in, are of no concern.
_TAGS = (
    "SUMMARY",
    "DESCRIPTION",
    "LICENSE",
    "VENDOR",
    "ARCH",
    "OS",
    "EPOCH",
    "SOURCERPM",
    "BUILDTIME",
    "PREFIXES",
    "PREIN",
    "PREINPROG",
    "POSTIN",
    "POSTINPROG",
    "PREUN",
    "PREUNPROG",
    "POSTUN",
    "POSTUNPROG",
    "PRETRANS",
    "POSTTRANS",
    "VERIFYSCRIPT",
    "REQUIRENEVRS",
    "REQUIREFLAGS",
    "PROVIDENEVRS",
    "CONFLICTNEVRS",
    "OBSOLETENEVRS",
    "RECOMMENDNEVRS",
    "SUGGESTNEVRS",
    "SUPPLEMENTNEVRS",
    "ENHANCENEVRS",
    "TRIGGERSCRIPTS",
    "TRIGGERCONDS",
    "TRIGGERTYPE",
    "FILETRIGGERSCRIPTS",
    "FILETRIGGERNAME",
    "TRANSFILETRIGGERSCRIPTS",
    "TRANSFILETRIGGERNAME",
    "FILENAMES",
    "FILEFLAGS",
    "FILEDIGESTS",
    "FILEVERIFYFLAGS",
    "FILESTATES",
    "FILECAPS",
    "FILEUSERNAME",
    "FILEGROUPNAME",
    "FILENLINKS",
    "CHANGELOGTEXT",
)


def _said(*command: str) -> str:
    """What a program prints, whatever its exit status: that of `dpkg -V` tells of differences."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    return done.stdout + done.stderr


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _file(path: str, info: os.stat_result) -> str:
    # Whatever changes one of the others changes the last one.
    key = (info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    found = _told.get(key)
    if found is None:
        found = _tell(path, info)
        # The clock of files is coarse: what is that new may change again at the same time.
        if time.time() - info.st_ctime >= 1:
            _told[key] = found
    return found


def _tell(path: str, info: os.stat_result) -> str:
    words = [stat.filemode(info.st_mode), f"{info.st_uid}:{info.st_gid}"]
    if stat.S_ISREG(info.st_mode):
        words += [str(info.st_size), _hash(path)]
        if info.st_nlink > 1:
            words.append(f"{info.st_nlink} names")
    elif stat.S_ISLNK(info.st_mode):
        words.append(f"-> {os.readlink(path)}")
    elif not stat.S_ISDIR(info.st_mode):
        words.append(f"device {info.st_rdev}")
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        words.append(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}")
    return " ".join(words)


def files(top: str = "/", excluded: t.Iterable[str] = EXCLUDED) -> Snapshot:
    """Everything below `top`."""
    skipped, found, waiting = frozenset(excluded), {}, [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.path in skipped:
                    continue
                info = entry.stat(follow_symlinks=False)
                found[f"file {entry.path}"] = _file(entry.path, info)
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(entry.path)
    return found


# What `dpkg -V` said of a package, for as long as its record and its files are the same.
_verified: dict[str, tuple[int, list[str]]] = {}
_MANY = 30


def _listed(name: str, arch: str) -> list[str]:
    """The paths that a package has, as dpkg lists them."""
    for stem in (f"{name}:{arch}", name):
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/var/lib/dpkg/info/{stem}.list", encoding="utf-8", errors="surrogateescape") as content,
        ):
            return content.read().splitlines()
    return []


def _real(seen: Snapshot, directory: str, reals: dict[str, str]) -> str:
    """The real name of a directory.

    :param reals: those that were asked for before, since that takes longest.
    """
    if directory not in reals:
        above, name = os.path.split(directory)
        path = os.path.join(_real(seen, above, reals), name) if name else above
        is_one = not name or seen.get(f"file {path}", "").startswith("d")
        reals[directory] = path if is_one else os.path.realpath(path)
    return reals[directory]


def _look(seen: Snapshot, path: str, reals: dict[str, str]) -> str:
    """What is at a path; in a snapshot it has its real name."""
    above, name = os.path.split(path)
    real = os.path.join(_real(seen, above, reals), name)
    try:
        return seen.get(f"file {real}") or repr(os.lstat(real))
    except OSError as error:
        return repr(error)


def _verify(seen: Snapshot, stanzas: t.Mapping[str, str]) -> list[str]:
    """The lines of `dpkg -V`. Only what has changed is asked for again, since hashing all packages takes long.

    :param seen: the files as they are now.
    """
    paths = {key: _listed(*key.rsplit(":", 1)) for key in stanzas}
    common = seen.get("file /var/lib/dpkg/diversions", "")
    reals: dict[str, str] = {}
    state = {key: hash((common, stanzas[key], *(_look(seen, path, reals) for path in paths[key]))) for key in stanzas}
    for key in _verified.keys() - stanzas.keys():
        del _verified[key]
    stale = [key for key in stanzas if key not in _verified or _verified[key][0] != state[key]]
    if not stale:
        return [line for dummy, lines in _verified.values() for line in lines]
    usual = all("\nStatus: install ok installed\n" in f"\n{stanzas[key]}\n" for key in stale)
    if not usual or len(stale) > _MANY:
        stale = list(stanzas)
    everything = len(stale) == len(stanzas)
    said = _said("dpkg", "-V", *(() if everything else map(_name, stale))).splitlines()
    if any(line.startswith("dpkg: error") for line in said):
        # It gives up where it cannot read something, and says nothing of the rest.
        for key in stale:
            _verified[key] = (state[key], _said("dpkg", "-V", _name(key)).splitlines())
        return [line for dummy, lines in _verified.values() for line in lines]
    owners: dict[str, list[str]] = {}
    for key in stale:
        _verified[key] = (state[key], [])
        for path in paths[key]:
            owners.setdefault(path, []).append(key)
    stray = []
    for line in said:
        of = owners.get(line[line.find("/") :], [])
        for key in of:
            _verified[key][1].append(line)
        stray += [] if of else [line]
    lines = [line for dummy, lines in _verified.values() for line in lines]
    if stray:
        # Said of nothing in particular: it is asked for again next time.
        _verified.clear()
    return lines + stray


def _name(key: str) -> str:
    return key.removesuffix(":all")


def dpkg(seen: Snapshot) -> Snapshot:
    """Each field that dpkg and apt know of each package, and what `dpkg -V` finds.

    :param seen: the files as they are now.
    """
    found = {}
    with open("/var/lib/dpkg/status", encoding="utf-8", errors="surrogateescape") as content:
        stanzas = content.read().split("\n\n")
    by_name = {}
    for stanza in filter(str.strip, stanzas):
        fields = dict(re.findall(r"^([^\s:]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
        name = f"{fields['Package']}:{fields.get('Architecture', '')}"
        by_name[name] = stanza
        for field, value in fields.items():
            # One conffile a line, in any order.
            text = "\n".join(sorted(value.split("\n"))) if field == "Conffiles" else value
            found[f"dpkg {name} {field}"] = text.strip()
    found["dpkg updates"] = " ".join(sorted(os.listdir("/var/lib/dpkg/updates")))
    for line in _verify(seen, by_name):
        found[f"dpkg -V: {line}"] = "yes"
    commands = {
        "dpkg --audit": ("dpkg", "--audit"),
        "dpkg diversions": ("dpkg-divert", "--list"),
        "dpkg statoverrides": ("dpkg-statoverride", "--list"),
        "apt auto": ("apt-mark", "showauto"),
        "apt hold": ("apt-mark", "showhold"),
    }
    for key, command in commands.items():
        for line in _said(*command).splitlines():
            found[f"{key}: {line}"] = "yes"
    return found


def rpm() -> Snapshot:
    """What rpm and dnf know of each package, and what `rpm -Va` finds."""
    import rpm as librpm  # only where there is one

    found: Snapshot = {}
    for header in librpm.TransactionSet().dbMatch():
        name = header["NEVRA"]
        found[f"rpm {name}"] = f"{int(found.get(f'rpm {name}', '0 ').split()[0]) + 1} installed"
        for tag in _TAGS:
            found[f"rpm {name} {tag}"] = repr(header[tag])
    for line in _said("rpm", "-Va").splitlines():
        found[f"rpm -Va: {line}"] = "yes"
    if shutil.which("dnf") and os.path.exists("/var/lib/dnf"):
        for line in _said("dnf", "-q", "-C", "history", "userinstalled").splitlines():
            found[f"dnf wanted: {line}"] = "yes"
    return found


def snapshot(excluded: t.Iterable[str] = ()) -> Snapshot:
    """Everything; `excluded` are more paths than are always left out."""
    found = files(excluded=(*EXCLUDED, *excluded))
    found.update(dpkg(found))
    # An empty database says nothing, and dnf takes half a second to say it.
    if os.path.exists("/etc/rpm/macros") and shutil.which("rpm"):
        found.update(rpm())
    return found


def diff(before: Snapshot, after: Snapshot) -> list[str]:
    """A line for each difference, `[]` when there is none."""
    return [
        f"{key}: {before.get(key, '(absent)')} => {after.get(key, '(absent)')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    action, path, *excluded = arguments
    found = snapshot((os.path.abspath(path), *excluded))
    if action == "save":
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as target:
            json.dump(found, target)
        return 0
    with open(path, encoding="utf-8", errors="surrogateescape") as source:
        lines = diff(json.load(source), found)
    print("\n".join(lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
