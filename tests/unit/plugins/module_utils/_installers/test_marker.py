# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._installers.marker import applies, satisfies

ENVIRONMENT = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.2",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_release": "6.1.0-18-amd64",
    "platform_system": "Linux",
    "platform_version": "#1 SMP",
    "python_full_version": "3.11.2",
    "platform_python_implementation": "CPython",
    "python_version": "3.11",
    "sys_platform": "linux",
}

MARKERS = [
    "python_version >= '3.9'",
    "python_version < '3.9'",
    "python_version < '3.100'",
    "python_full_version < '3.11.3'",
    "python_version == '3.*'",
    "python_version != '3.11.*'",
    "python_version ~= '3.8'",
    "python_full_version ~= '3.11.0'",
    "'linux' in sys_platform",
    "sys_platform in 'linux darwin'",
    "sys_platform not in 'win32 darwin'",
    "sys_platform == 'win32' or platform_machine == 'x86_64' and os_name == 'posix'",
    "(sys_platform == 'win32' or platform_machine == 'x86_64') and os_name != 'posix'",
    'platform_python_implementation != "PyPy"',
    "extra == 'full'",
    "extra == 'other'",
    "python_version >= '3.11' and extra == 'full'",
    "'3.11' <= python_version",
    "platform_machine == 'x86_64' and (python_version < '3' or python_version >= '3.10')",
]


@pytest.mark.parametrize("marker", MARKERS)
def test_as_packaging_does(marker: str) -> None:
    markers = pytest.importorskip("packaging.markers")
    expected = markers.Marker(marker).evaluate({**ENVIRONMENT, "extra": "full"})
    assert applies(marker, ENVIRONMENT, frozenset({"full"})) is expected


def test_extras() -> None:
    assert not applies("extra == 'x'", ENVIRONMENT)
    assert applies("extra == 'Some_Extra'", ENVIRONMENT, frozenset({"some-extra", ""}))
    assert applies("'x' in extras", ENVIRONMENT, frozenset({"x"}))
    assert applies("", ENVIRONMENT)
    assert applies("python_version >= '3.9'", ENVIRONMENT, frozenset({"", "x"}))


@pytest.mark.parametrize(
    "marker",
    [
        "nonsense",
        "python_version >=",
        "(python_version >= '3'",
        "python_version >= '3')",
        "__import__('os').system('x') == ''",
        "unknown == 'x'",
        "os_name ~= 'posix'",
        "python_version >= '3' os_name",
        "python_version ! '3'",
    ],
)
def test_unreadable(marker: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        applies(marker, ENVIRONMENT)


@pytest.mark.parametrize(
    ("version", "specifiers", "expected"),
    [
        ("3.11.2", ">=3.11", True),
        ("3.11.2", "==3.11.*", True),
        ("3.11.2", "== 3.11.2 , <4", True),
        ("3.11.2", ">=3.12", False),
        ("3.11", "==3.11.0.*", True),
        ("3.11.2", "~=3.10", True),
        ("3.11.2", "", True),
    ],
)
def test_satisfies(version: str, specifiers: str, expected: bool) -> None:
    assert satisfies(version, specifiers) is expected


def test_unreadable_specifier() -> None:
    with pytest.raises(ValueError, match="specifier"):
        satisfies("1", "around 3")
