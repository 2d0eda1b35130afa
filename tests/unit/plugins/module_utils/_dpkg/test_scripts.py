# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which maintainer scripts count as harmless."""

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.scripts import reasons

# With the tab that debhelper writes.
TAB = "\t"
SECTION = f"""
# Automatically added by dh_installsystemd/13.11.4
if [ "$1" = "configure" ]; then
{TAB}systemctl enable foo >/dev/null || true
fi
# End automatically added section
"""
HARMLESS = f"""\
#!/bin/sh
# postinst script for foo
set -e

case "$1" in
    configure)
    ;;

    abort-upgrade|abort-remove|abort-deconfigure)
    ;;

    *)
        echo "postinst called with unknown argument \\`$1'" >&2
        exit 1
    ;;
esac
{SECTION}
# Automatically added by dh_python3
py3compile -p foo
# End automatically added section
exit 0
"""


def test_what_debhelper_writes() -> None:
    assert reasons({"postinst": HARMLESS, "prerm": f"#!/bin/sh\nset -e\n{SECTION}", "config": "rm -rf /"}) == []


@pytest.mark.parametrize(
    "line",
    [
        "useradd foo",
        "echo yes >/etc/foo",
        'echo "$(touch /x)"',
        "echo `touch /x`",
        "echo a; touch /x",
        "echo a | tee /x",
        "( touch /x )",
        "touch /x)",
        'case "$(touch /x)" in',
        ". /usr/share/foo/lib",
        "exit 0; touch /x",
        "configure) touch /x ;;",
    ],
)
def test_anything_else_is_named(line: str) -> None:
    script = HARMLESS.replace("exit 0\n", f"{line}\nexit 0\n")
    assert reasons({"postinst": script}) == ["its postinst may change more than its files"]
    assert reasons({"postrm": script, "preinst": script}) == [
        "its preinst may change more than its files",
        "its postrm may change more than its files",
    ]


def test_other_interpreters_are_not_understood() -> None:
    assert reasons({"prerm": "#!/usr/bin/perl\n"}) == ["its prerm may change more than its files"]
    assert reasons({"prerm": "\x7fELF"}) == ["its prerm may change more than its files"]


def test_users_stay() -> None:
    section = SECTION.replace("dh_installsystemd", "dh_installsysusers")
    assert reasons({"postinst": f"#!/bin/sh\nset -e\n{section}"}) == ["its postinst may change users"]


def test_a_section_without_an_end_is_no_section() -> None:
    script = HARMLESS.replace("# End automatically added section\n", "")
    assert reasons({"postinst": script}) == ["its postinst may change more than its files"]
