# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what is registered in an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, open_directory
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import Owners
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tiny(tmp_path: Path) -> TinyVenv:
    tiny = TinyVenv(tmp_path / "venv").make()
    tiny.install("Some_Pack", "1.0+cu1")
    (tiny.site / "~ome_pack-0.9.dist-info").mkdir()
    return tiny


def test_installed(tiny: TinyVenv) -> None:
    with Tree(str(tiny.path), open_directory(str(tiny.path))) as venv:
        assert distributions.sites(venv) == [SITE]
        (one,) = distributions.installed(venv)
    assert (one.name, one.version, one.site) == ("some-pack", "1.0+cu1", SITE)


def test_record(tiny: TinyVenv) -> None:
    record = tiny.info("Some_Pack", "1.0+cu1") / "RECORD"
    record.write_text(
        record.read_text()
        + '"with,comma.py",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n'
        + "Some_Pack/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        + f"{tiny.path}/share/absolute,,\n"
    )
    with Tree(str(tiny.path), open_directory(str(tiny.path))) as venv:
        info = f"{SITE}/Some_Pack-1.0+cu1.dist-info"
        rows = distributions.record(venv, info, prefix=str(tiny.path))
        assert rows is not None
        assert rows["bin/Some_Pack"].size > 0
        assert rows[f"{SITE}/with,comma.py"].digest.startswith("e3b0c442")
        assert "share/absolute" in rows
        # Twice, with two hashes: neither is believed unread.
        assert rows[f"{SITE}/Some_Pack/__init__.py"].digest == ""
        assert len(rows[f"{SITE}/Some_Pack/__init__.py"].digests) == 2
        assert not [path for path in rows if path.endswith(".pyc")]
        with pytest.raises(distributions.Outside):
            distributions.record(venv, info)
        assert distributions.record(venv, "lib/none.dist-info") is None
        owners = Owners(venv)
        # A name in quotation marks is one name, whatever is in it.
        comma = f"{SITE}/with,comma.py"
        owners.learn(["bin/Some_Pack", "bin/other", comma], Table({}), Farms([]))
        assert owners.names("bin/Some_Pack") == owners.names(comma) == {"some-pack"}
        assert owners.names("bin/other") == set()


@pytest.mark.parametrize("path", ["../../../../outside", "/etc/passwd", "../../../../venv2/x"])
def test_record_that_leads_outside(tiny: TinyVenv, path: str) -> None:
    record = tiny.info("Some_Pack", "1.0+cu1") / "RECORD"
    record.write_text(f"{path},,\n")
    with Tree(str(tiny.path), open_directory(str(tiny.path))) as venv:
        info = f"{SITE}/Some_Pack-1.0+cu1.dist-info"
        with pytest.raises(distributions.Outside):
            distributions.record(venv, info, prefix=str(tiny.path))
        assert distributions.record(venv, info, prefix=str(tiny.path), strict=False) == {}


def test_top_names() -> None:
    assert distributions.top_names(b'pack/a.py,,\nother.py,,\n"q,x/y",,\n../../bin/x,,\nx.dist-info/RECORD,,\n') == {
        "pack",
        "other.py",
        "q",
    }
