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
# In a process of its own, since Ansible's loader changes how a process imports. Tells for each module how many bytes of
# its archive are there for this collection: content and the two headers of every member, as packed, but of those that
# a module has that does nothing.
PACK = """
import base64, io, json, pathlib, re, sys, zipfile

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([sys.argv[1]])

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources


def members(name, path):
    built = modify_module(
        module_name=name,
        module_path=str(path),
        module_args={},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3"},
        module_compression="ZIP_DEFLATED",
    )
    packed = base64.b64decode(max(re.findall(rb"[A-Za-z0-9+/=]{5000,}", built.b_module_data), key=len))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {member.filename: member.compress_size + 76 + 2 * len(member.filename) for member in archive.infolist()}


nothing = pathlib.Path(sys.argv[1], "nothing.py")
nothing.write_text("from ansible.module_utils.basic import AnsibleModule\\n")
always = members("nothing", nothing)
sizes = {}
for path in sorted(pathlib.Path(sys.argv[1], "ansible_collections/intellistream/sage/plugins/modules").glob("*.py")):
    packed = members(f"intellistream.sage.{path.stem}", path)
    sizes[path.stem] = sum(size for name, size in packed.items() if name not in always)
    # What an action sends in an option, where the archive is sent as base64.
    if "SCRIPT_OPTIONS" in path.read_text():
        sizes[path.stem] += len(sources.packed()) * 3 // 4
print(json.dumps(sizes))
"""


class Before(t.NamedTuple):
    """What a module sent before module_utils was cut into folders, with ansible-core 2.21.

    :ivar own: bytes in its archive that were there for this collection.
    :ivar sent: characters that were sent in all, the archive being base64.
    """

    own: int
    sent: int


# Of what is sent, 22 % (sage_venv) to 74 % (sage_deadman) were the collection's own. Only that part is measured: the
# rest is another size with every ansible-core. Its growth is compared with all that was sent.
BEFORE = {
    "sage_backup": Before(317_384, 580_047),
    "sage_checkpoint": Before(151_336, 358_655),
    "sage_checkpoint_info": Before(254_208, 495_830),
    "sage_deadman": Before(343_366, 614_690),
    "sage_hook": Before(327_491, 593_520),
    "sage_install": Before(58_003, 234_206),
    "sage_plan": Before(103_007, 294_208),
    "sage_resolve": Before(57_129, 233_042),
    "sage_resume_info": Before(64_182, 242_454),
    "sage_retention": Before(150_898, 358_070),
    "sage_rollback": Before(338_557, 608_280),
    "sage_venv": Before(32_611, 200_343),
    "sage_wheelhouse": Before(77_568, 260_300),
}
# Their action plugins do all there is to do, and send nothing.
NEVER_SENT = {"sage_builtin", "sage_controller_file", "sage_decision", "sage_outcome", "sage_request", "sage_run_info"}
# These came later. What is in them is bounded by test_closures.py.
LATER = {"sage_check", "sage_remove", "sage_verify"}
# Percent, for all modules. What a module has learned since adds to it, with the reason.
MOST_GROWTH = 3.0
# The gate that every call passes, and marks of private directories (X3, X4, X6).
GATE = 1.5
# The head of the ledger with every result that concerns a record (E13).
HEAD = 0.4
# What was in force when a root was moved, what cannot be put back there, who rests on what is undone (E2, E5, E7), and
# in rollback.sh who can write to its directory and what is a machine id (X6).
WAYS_BACK = 1.2
KNOWS_WAYS_BACK = {
    *("sage_backup", "sage_checkpoint", "sage_deadman", "sage_hook", "sage_retention", "sage_rollback"),
    "sage_resume_info",
}
# What every call begins with: the umask (E15), results that are text (E22).
CALL = 0.3
# What is in force, looked up wherever the progress file is (E7).
IN_FORCE = 0.4
KNOWS_NO_RECORD = {"sage_install", "sage_plan", "sage_resolve", "sage_venv", "sage_wheelhouse"}
# Where the record is written: a log for each installation, sizes of captures, and what the original's readers of the
# progress file ask for (S59, S60, R37).
LOG = 1.0
WRITES = {"sage_backup", "sage_checkpoint", "sage_deadman", "sage_hook", "sage_retention", "sage_rollback"}
# What was not there before the record, in its mark, and what removes that apart from the rest (remove_sage.yml).
REMOVABLE = 0.4
# In each of these up to 1.0 for what syncs before anything is recorded as done (X1), and for redaction (X8).
LEARNED = {
    # The grammar of dates (E19), whose record it is (E2), and with all that reads or writes the record changes apart
    # from installations (E1, E4, E5), whether anything was changed, and what the way back does not cover (E6).
    "sage_rollback": 3.5,
    "sage_backup": 1.25,
    # Whose record it is, and what was moved (E2); names that are no text, nesting (E22, X11).
    "sage_checkpoint": 6.60,
    "sage_deadman": 2.5,
    # Names that are no text, Pythons that name files in ASCII (E22).
    "sage_resume_info": 3.60,
    "sage_retention": 4.10,
}
# Which run has the lease (E3). The last one had nothing of the host's processes before.
LEASE = {
    "sage_backup": 1.5,
    "sage_checkpoint": 2.75,
    "sage_checkpoint_info": 0.9,
    "sage_deadman": 1.25,
    "sage_hook": 1.5,
    "sage_rollback": 1.25,
    "sage_retention": 4.0,
}
# Whether a capture can still be used, asked of each kind (S30).
BACKUPS = {
    "sage_checkpoint": 1.4,
    "sage_checkpoint_info": 1.7,
    # It had read nothing of the store: lists of captured files, and what finds them.
    "sage_resume_info": 5.4,
}
# What a rollback in part did not keep is on record, and a target before it says so (K1).
UNKEPT = 0.2
# What is installed is compared with RECORD, content included (E18, V8).
CONTENT = {"sage_install": 2.5, "sage_plan": 2.0, "sage_resolve": 2.7, "sage_checkpoint_info": 0.9}
# What was published with a wrong RECORD is told from what was damaged (V5, K8).
WRONG_RECORDS = {"sage_checkpoint_info": 0.2, "sage_resolve": 0.5, "sage_retention": 0.1}
# Environments and named files are trees that one engine looks at, holds and puts back (V2, V4 to V12, F1 to F25):
# what looks at captured trees wherever a record is judged (S30), all of it where one is made. The shell of rollback.sh
# is packed as one, and counts with what it is made of, wherever it travels.
ENGINE = {
    "sage_backup": 11.4,
    "sage_checkpoint": 14.0,
    "sage_checkpoint_info": 6.7,
    "sage_deadman": 9.9,
    "sage_hook": 11.2,
    "sage_resume_info": 15.2,
    "sage_retention": 15.6,
    "sage_rollback": 10.0,
}
KNOWS_UNKEPT = {"sage_checkpoint", "sage_retention"}
# What was verified is compared with a table of it by all that judge, and pruned (E18).
TABLE = {"sage_checkpoint": 3.3, "sage_checkpoint_info": 2.3, "sage_resume_info": 4.6, "sage_retention": 0.5}
# What could not be verified is told by distribution, modes that bar are damage, and the verdict begins where what
# a verification named is mended (K1, K9, E18).
UNVERIFIED = {"sage_checkpoint": 0.6, "sage_checkpoint_info": 0.8, "sage_resume_info": 1.0, "sage_resolve": 0.7}
# How rollback.sh ends: what it says of disks that cannot be written, and modes of what it leaves (K11, X11).
SCRIPT_ENDINGS = 0.5
# Settled points share what their tables have in common, and looks know the one before, and settle (1,000 points).
SHARED_TABLES = 1.3
# What rollback.sh did and nobody recorded yet, and which run is at work, told by all that look (K1, K2).
TOLD = 0.5
# What has no RECORD any more is installed anew before it is replaced (V5).
WITHOUT_RECORD = {"sage_install": 0.6, "sage_resolve": 0.3, "sage_plan": 0.3}
# What is in files of the host that settings name is an input (K3).
FILES_ON_HOST = {"sage_checkpoint": 0.2, "sage_checkpoint_info": 0.2, "sage_resume_info": 0.4}

# What others have put into an environment is told by whatever takes one away as a whole (K10), and sizes count an inode
# once, wherever a tree is looked at.
OTHERS = {
    **dict.fromkeys(("sage_backup", "sage_deadman", "sage_hook", "sage_rollback"), 0.8),
    **dict.fromkeys(("sage_checkpoint_info", "sage_resume_info"), 0.5),
    # All that knows distributions, which had no part in them before.
    "sage_checkpoint": 3.2,
    "sage_retention": 2.9,
    "sage_venv": 7.8,
    "sage_resolve": 0.4,
}


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
    assert set(sizes) - NEVER_SENT - LATER == set(BEFORE)
    growth = {
        module: round(100 * (sizes[module] - before.own) * 4 / 3 / before.sent, 2) for module, before in BEFORE.items()
    }
    for_all = MOST_GROWTH + GATE + CALL + REMOVABLE
    allowed = {
        module: for_all
        + LEARNED.get(module, 0)
        + (HEAD + IN_FORCE if module not in KNOWS_NO_RECORD else 0)
        + (LOG if module in WRITES else 0)
        + (WAYS_BACK if module in KNOWS_WAYS_BACK else 0)
        + LEASE.get(module, 0)
        + BACKUPS.get(module, 0)
        + (UNKEPT if module in KNOWS_UNKEPT else 0)
        + CONTENT.get(module, 0)
        + TABLE.get(module, 0)
        + WRONG_RECORDS.get(module, 0)
        + UNVERIFIED.get(module, 0)
        + ENGINE.get(module, 0)
        + (SHARED_TABLES if module in WRITES else 0)
        + FILES_ON_HOST.get(module, 0)
        + WITHOUT_RECORD.get(module, 0)
        + (TOLD if module not in KNOWS_NO_RECORD else 0)
        + (SCRIPT_ENDINGS if module in WRITES else 0)
        + OTHERS.get(module, 0)
        for module in BEFORE
    }
    too_much = {
        module: (grown, round(allowed[module], 2)) for module, grown in growth.items() if grown > allowed[module]
    }
    assert not too_much
