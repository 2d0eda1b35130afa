# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""V5: a distribution whose RECORD somebody removed is upgraded all the same, and what it had goes."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import Bench


@pytest.fixture
def installed(bench: Bench) -> Bench:
    """An environment with a distribution that has no RECORD, and a file that its next version has not."""
    for version in ("1.0", "2.0"):
        bench.wheel("tiny", version)
    bench.make_venv()
    bench.bring("tiny==1.0")
    site = _site(bench)
    record = site / "tiny-1.0.dist-info/RECORD"
    record.unlink()
    return bench


def _site(bench: Bench) -> pathlib.Path:
    [site] = pathlib.Path(bench.venv).glob("lib/python3*/site-packages")
    return site


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_v5_what_has_no_record_is_upgraded_and_installed_again(installed: Bench, version: str) -> None:
    """pip refused to take it away, and uv left it registered twice."""
    resolved = installed.resolve(f"tiny=={version}")
    assert any("somebody removed its RECORD: tiny 1.0" in note for note in installed.warnings), installed.warnings
    done = installed.install(resolved["plan"]["distributions"])
    assert [(each["name"], each["from_version"], each["version"]) for each in done["replaced"]] == [
        ("tiny", "1.0", version)
    ]
    assert any("tiny 1.0 had no RECORD" in line for line in done["said"])
    assert [path.name for path in _site(installed).glob("tiny-*")] == [f"tiny-{version}.dist-info"]
    assert installed.versions() == {"tiny": version}
    assert not installed.install(resolved["plan"]["distributions"])["changed"]


def test_k11_what_cannot_be_had_any_more_is_named_and_the_advice_helps(installed: Bench) -> None:
    resolved = installed.resolve("tiny==2.0")
    [wheel] = pathlib.Path(installed.wheels).glob("tiny-1.0-*")
    wheel.unlink()
    with pytest.raises(InstallerError, match=r"has no RECORD, so .* cannot take tiny 1\.0 away") as raised:
        installed.install(resolved["plan"]["distributions"])
    assert raised.value.untouched == "every distribution of the environment."
    info = _site(installed) / "tiny-1.0.dist-info"
    assert f"rm -r '{info}'" in raised.value.advice
    for path in info.iterdir():
        path.unlink()
    info.rmdir()
    installed.install(resolved["plan"]["distributions"])
    assert installed.versions() == {"tiny": "2.0"}
