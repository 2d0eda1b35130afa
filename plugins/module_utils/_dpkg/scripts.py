"""What the maintainer scripts of a package may change besides the files it owns.

Nobody can know what a script does. So a package counts as one that can be undone exactly only when its
scripts are nothing but the sections that debhelper writes, whose effects its own removal or the other
version's scripts take back. Everything else is named, with the script.
"""

from __future__ import annotations

import os
import re
import typing as t

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
_SECTION = re.compile(
    r"^[ \t]*# Automatically added by (\S+?)(?:/\S*)?[ \t]*\n.*?^[ \t]*# End automatically added section[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
# What stands around the sections and does nothing.
_SKELETON = re.compile(
    r"set -e|exit [01]|case \"?\$1\"? in|esac|;;|:"
    r"|\(?[\w*\"'-]+(?:\s*\|\s*[\w*\"'-]+)*\)(?:\s*:?\s*;;)?"
    r"|echo (?:[^>|;&`$]|\\`|\$1)*(?:>\s?&2)?"
    r"|\. /usr/share/debconf/confmodule"
)
# Sections whose effects stay: users and groups, for instance.
_LASTING = {"dh_installsysusers": "users", "dh_sysuser": "users", "dh_installdebconf": "debconf's answers"}


def reasons(scripts: t.Mapping[str, str]) -> list[str]:
    """Why a change of a package with these scripts (name → text) may not be undone exactly."""
    found = []
    for name in SCRIPTS:
        if name not in scripts:
            continue
        found += [f"its {name} may change {lasting}" for lasting in _lasting(scripts[name])]
        if not _pure(scripts[name]):
            found.append(f"its {name} may change more than its files")
    return found


def installed(info: t.Mapping[str, str]) -> dict[str, str]:
    """The scripts of an installed package.

    :param info: as P(Database.info) has it.
    """
    found = {}
    for name in SCRIPTS:
        if name in info and os.path.isfile(info[name]):
            with open(info[name], encoding="utf-8", errors="replace") as stream:
                found[name] = stream.read()
    return found


def _lasting(text: str) -> list[str]:
    return sorted({_LASTING[one.group(1)] for one in _SECTION.finditer(text) if one.group(1) in _LASTING})


def _pure(text: str) -> bool:
    if not re.match(r"#!\s*/bin/(?:da|ba)?sh\b", text):
        return False
    rest = (line.strip() for line in _SECTION.sub("", text).splitlines())
    return all(not line or line.startswith("#") or _SKELETON.fullmatch(line) for line in rest)
