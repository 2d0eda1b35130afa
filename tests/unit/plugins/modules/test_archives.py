# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends with each module does not grow: the archives themselves, as Ansible packs them.

test_closures.py holds what is in them, without Ansible.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import typing as t
import zlib

import pytest

TOP = pathlib.Path(__file__).resolve().parents[4]
# In a process of its own, since Ansible's loader changes how a process imports. Tells for each module how many bytes
# of its archive are this collection's: content and the two headers of every member, as packed.
PACK = """
import base64, io, json, pathlib, re, sys, zipfile

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([sys.argv[1]])

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

sizes = {}
for path in sorted(pathlib.Path(sys.argv[1], "ansible_collections/intellistream/sage/plugins/modules").glob("*.py")):
    built = modify_module(
        module_name=f"intellistream.sage.{path.stem}",
        module_path=str(path),
        module_args={},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3"},
        module_compression="ZIP_DEFLATED",
    )
    packed = base64.b64decode(max(re.findall(rb"[A-Za-z0-9+/=]{5000,}", built.b_module_data), key=len))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [member for member in archive.infolist() if member.filename.startswith("ansible_collections/int")]
    sizes[path.stem] = sum(member.compress_size + 76 + 2 * len(member.filename) for member in members)
print(json.dumps(sizes))
"""


class Before(t.NamedTuple):
    """What a module sent before module_utils was cut into folders.

    :ivar collection: bytes in its archive that were this collection's.
    :ivar sent: characters that were sent, with the files of ansible-core 2.21, the archive being base64.
    """

    collection: int
    sent: int


# Of what is sent, 20 % (sage_venv) to 74 % (sage_deadman) were the collection's. Only that part is measured: the rest
# is another size with every ansible-core. Its growth is compared with all that was sent.
BEFORE = {
    "sage_backup": Before(314_380, 580_047),
    "sage_checkpoint": Before(148_332, 358_655),
    "sage_checkpoint_info": Before(251_204, 495_830),
    "sage_deadman": Before(340_362, 614_690),
    "sage_decision": Before(63_383, 245_388),
    "sage_hook": Before(324_487, 593_520),
    "sage_install": Before(54_999, 234_206),
    "sage_plan": Before(100_003, 294_208),
    "sage_resolve": Before(54_125, 233_042),
    "sage_resume_info": Before(61_178, 242_454),
    "sage_retention": Before(147_894, 358_070),
    "sage_rollback": Before(335_553, 608_280),
    "sage_venv": Before(29_607, 200_343),
    "sage_wheelhouse": Before(74_564, 260_300),
}
# Percent. These three carry the checks of the record's format and the interface of a kind, and are small beside them.
# On the day of the cut they grew by 6.2, 4.4 and 3.6, all others by less than 2.8.
# Whatever takes a target reads dates, whose grammar is 1.5 (E19).
MOST_GROWTH = {
    "sage_deadman": 4.5,
    "sage_rollback": 4.5,
    "sage_checkpoint": 6.5,
    "sage_resume_info": 4.5,
    "sage_retention": 3.75,
}
USUAL_GROWTH = 3.0


@pytest.mark.slow
def test_no_archive_grows_much(tmp_path: pathlib.Path) -> None:
    try:
        available = importlib.util.find_spec("ansible.executor.module_common") is not None
    except ImportError:
        available = False
    if not available:
        pytest.skip("needs ansible-core of a control node")
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("zlib-ng packs otherwise than zlib, which the figures are of")
    collections = tmp_path / "ansible_collections" / "intellistream"
    collections.mkdir(parents=True)
    (collections / "sage").symlink_to(TOP)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "LC_ALL": "C.UTF-8",
    }
    environment.pop("PYTHONPATH", None)
    packed = subprocess.run(
        [sys.executable, "-c", PACK, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert packed.returncode == 0, packed.stderr
    sizes: dict[str, int] = json.loads(packed.stdout)
    assert set(sizes) == set(BEFORE)
    growth = {
        module: round(100 * (sizes[module] - before.collection) * 4 / 3 / before.sent, 2)
        for module, before in BEFORE.items()
    }
    assert not {module: grown for module, grown in growth.items() if grown > MOST_GROWTH.get(module, USUAL_GROWTH)}
