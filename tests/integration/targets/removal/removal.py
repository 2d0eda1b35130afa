# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of SAGE on a host: installed, removed, and the host compared with itself before, from outside."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "setup_wheelhouse" / "files"))

import wheelhouse

TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "removal"
CLI = "from sage import VERSION\n\n\ndef main():\n    print('core : ok', VERSION)\n"
HOST = TOP / "host"
ROOT = HOST / "opt" / "sage"


class Wrong(Exception):
    """Something is not as it has to be."""


def need(good: object, *what: object) -> None:
    """Go on only if this holds."""
    if not good:
        raise Wrong(" ".join(map(str, what)))


def make_wheels() -> None:
    """Two generations of a little SAGE that verifies itself."""
    for version in ("1.0", "2.0"):
        modules = {f"sage/{name}.py": "" for name in ("foundation", "stream", "runtime", "serving")}
        modules.update({"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": CLI})
        wheelhouse.make_wheel(TOP / "wheels", "isage", version, [], None, modules, {"sage": "sage.cli:main"})


def run(playbook: str, *options: str, status: int = 0, **extra: t.Any) -> str:
    """A playbook against this host; what it said.

    :param status: with which it has to end.
    """
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "sage_root": ROOT,
        "sage_find_links": TOP / "wheels",
        "sage_no_index": True,
        "sage_lock_write": TOP / "pylock.toml",
    }
    command = ["ansible-playbook", "-i", "host,", f"intellistream.sage.{playbook}", *options]
    for name, content in {**common, **extra}.items():
        command += ["-e", f"{name}={content}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    need(done.returncode == status, f"{playbook} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def look(top: pathlib.Path) -> dict[str, tuple[object, ...]]:
    """Path → all there is to know of it, but when a directory was changed last, which any removal below changes."""
    sight: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(top):
        for path in [pathlib.Path(directory), *(pathlib.Path(directory, name) for name in [*names, *files])]:
            info = path.lstat()
            facts: list[object] = [stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid]
            if path.is_symlink():
                facts.append(os.readlink(path))
            elif path.is_file():
                facts += [info.st_mtime_ns, info.st_nlink, hashlib.sha256(path.read_bytes()).hexdigest()]
            sight[str(path.relative_to(top))] = tuple(facts)
    return sight


def differences(before: dict[str, tuple[object, ...]]) -> list[str]:
    """Paths of the host that are not as they were."""
    after = look(HOST)
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def main() -> None:
    """Play it."""
    shutil.rmtree(TOP, ignore_errors=True)
    make_wheels()
    # Somebody's, around it.
    (HOST / "srv").mkdir(parents=True)
    (HOST / "srv" / "data").write_text("precious")
    (HOST / "link").symlink_to("srv/data")
    before = look(HOST)
    run("install_sage", sage_version="1.0")
    installed = look(HOST)
    need("opt/sage/.sage/venv/bin/sage" in installed, "it was not installed")
    shown = run("remove_sage", "--check")
    need(look(HOST) == installed, "a prediction changed", differences(installed))
    for name in ("venv", "checkpoints", "pylock.toml"):
        need(f"removes: {ROOT}/.sage/{name} (" in shown, f"{name} is not shown:\n{shown}")
    # The record survives, and an installation goes on from it.
    run("remove_sage", sage_assume_yes=True, sage_keep_record=True)
    left = {path for path in differences(before) if not path.startswith("opt/sage/.sage/checkpoints")}
    need(left == {"opt", "opt/sage", "opt/sage/.sage", "opt/sage/.sage/.gitignore"}, sorted(left))
    run("install_sage", sage_version="2.0")
    need((ROOT / ".sage/venv/bin/sage").exists(), "it was not installed again")
    # What others have put into the environment does not go without a word (K10).
    notes = ROOT / ".sage/venv/notebooks/notes.txt"
    notes.parent.mkdir()
    notes.write_text("precious")
    for options in (["--check"], []):
        refused = run("remove_sage", *options, status=2, sage_assume_yes=True)
        need(f"of others: {notes.parent} (a directory with 1 file)" in refused, f"it is not named:\n{refused}")
        need(notes.exists() and (ROOT / ".sage/venv/bin/sage").exists(), "it was refused, and something is gone")
    removed = run("remove_sage", sage_assume_yes=True, sage_remove_others=True)
    need(f"removed, of others: {notes.parent} (" in removed, f"what others lost is not named:\n{removed}")
    need("the record (2 changes" in removed, f"it is not the record of both installations:\n{removed}")
    need(not differences(before), "is not as before the first installation:", differences(before))
    need("nothing to remove" in run("remove_sage", sage_assume_yes=True), "there is still something")
    shutil.rmtree(TOP)


if __name__ == "__main__":
    main()
