# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the capture of rpm packages costs, against tar and gzip, and against the upgrade itself.

    python tests/benchmark/rpm_packages.py [IMAGE]

measures in a container without network that is thrown away; CONTAINERS_CONF is taken from the environment. (It is not
called rpm.py, since Python would take that for rpm's own module.)
"""

from __future__ import annotations

import glob
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource
    from ansible_collections.intellistream.sage.tests.benchmark.store import Store

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = "/collections/ansible_collections/intellistream/sage"
IMAGE = "localhost/sage-rpm-bookworm"
SIZE = 110_000_000
ROUNDS = 5
PACKAGES = {"many": 10_000, "one": 1, "small-a": 0, "small-b": 0, "small-c": 0}
SMALL = ("small-a", "small-b", "small-c")


def outside(arguments: t.Sequence[str]) -> None:
    """Start the container."""
    image = arguments[0] if arguments else IMAGE
    environment = ["--env=PYTHONPATH=/collections", "--env=PYTHONDONTWRITEBYTECODE=1"]
    command = ["python3", f"{COLLECTION}/tests/benchmark/rpm_packages.py", "inside"]
    mount = f"--volume={CHECKOUT}:{COLLECTION}:ro"
    subprocess.run(["podman", "run", "--rm", "--network=none", mount, *environment, image, *command], check=True)


def shell(command: str) -> None:
    """Run it; what it says is shown when it fails."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")


def timed(action: t.Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def sources() -> bytes:
    """Programs and libraries of this system, as many bytes as wanted."""
    found = bytearray()
    for path in sorted(glob.glob("/usr/lib/x86_64-linux-gnu/*.so*") + glob.glob("/usr/bin/*")):
        if os.path.isfile(path) and not os.path.islink(path) and len(found) < SIZE:
            found += pathlib.Path(path).read_bytes()
    return bytes(found * (SIZE // len(found) + 1))[:SIZE]


def fill(top: pathlib.Path, files: int, content: bytes) -> None:
    """Lay out the files of a package, a hundred in a directory; without files, a small one."""
    each = len(content) // files if files else 1000
    for number in range(files or 1):
        place = top / str(number // 100)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}").write_bytes(content[number * each : (number + 1) * each])


def build(name: str, version: int, files: int, content: bytes) -> None:
    """Make a package in the repository."""
    top = pathlib.Path("/tmp/build")
    shell(f"rm -rf {top}")
    fill(top / "opt" / name, files, content)
    spec = pathlib.Path("/tmp/package.spec")
    lines = [f"Name: {name}", f"Version: {version}", "Release: 1", "Summary: x", "License: x", "BuildArch: noarch"]
    lines += ["%description", "x", "%install", f"cp -a {top}/. %{{buildroot}}/", "%files", f"/opt/{name}"]
    spec.write_text("\n".join(lines) + "\n", "utf-8")
    defines = {"_topdir": "/tmp/rpmbuild", "_rpmdir": "/tmp/repository", "_binary_payload": "w1.gzdio"}
    options = " ".join(f"--define {shlex.quote(f'{key} {value}')}" for key, value in defines.items())
    shell(f"rpmbuild --quiet {options} --define '__os_install_post %{{nil}}' -bb {spec}")


def resource(names: t.Sequence[str], state: str = "") -> Resource:
    """Packages that are going to be removed; with a C(state), dnf is asked what it will do."""
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.resource import RpmResource

    changes = [{"name": name, "arch": "noarch", "before": "1-1", "after": None} for name in names]
    return RpmResource(list(names), state) if state else RpmResource([], "present", changes)


def big(store: Store, name: str) -> None:
    """One large package, in turns with tar, so that a busy moment of the machine hits both."""
    plain = f"tar -cf - /opt/{name} 2>/dev/null | gzip -1 >/tmp/plain.tar.gz"
    shell(plain)
    store.capture(resource([name]))
    own, tar, cpu = [], [], []
    for dummy in range(ROUNDS):
        tar.append(timed(lambda: shell(plain)))
        before = sum(os.times()[:2])
        own.append(timed(lambda: store.capture(resource([name]))))
        cpu.append(sum(os.times()[:2]) - before)
        store.discard()
    ours, theirs = statistics.median(own), statistics.median(tar)
    size = os.path.getsize("/tmp/plain.tar.gz")
    print(
        f"{PACKAGES[name]} files, {SIZE / 1e6:.0f} MB: capture {ours:.2f} s, best {min(own):.2f} s, of all processors"
    )
    print(f"    {min(cpu):.2f} s; {store.bytes / 1e6:.1f} MB, synced and read back")
    print(f"    tar | gzip -1 {theirs:.2f} s ({size / 1e6:.1f} MB); capture takes {ours / theirs:.2f} times that")


def upgrade(store: Store, names: t.Sequence[str], content: bytes) -> None:
    """The capture beside the upgrade that it is for."""
    for name in names:
        build(name, 2, PACKAGES[name], content[::-1])
    shell("createrepo_c -q /tmp/repository && dnf -q clean all && dnf -q makecache")
    planned = timed(lambda: store.capture(resource(names, "latest")))
    alone = timed(lambda: shell(f"dnf -q -y upgrade {' '.join(names)}"))
    more = planned / alone
    print(f"upgrade of {', '.join(names)}: dnf {alone:.2f} s; plan and capture {planned:.2f} s, {more:.0%} more")


def inside() -> None:
    """Measure."""
    shell("rm -rf /etc/yum.repos.d && mkdir /etc/yum.repos.d && echo 1 >/etc/dnf/vars/releasever")
    repo = "[b]\nname=b\nbaseurl=file:///tmp/repository\ngpgcheck=0\n"
    pathlib.Path("/etc/yum.repos.d/b.repo").write_text(repo, "utf-8")
    content = sources()
    for name, files in PACKAGES.items():
        build(name, 1, files, content)
    shell("createrepo_c -q /tmp/repository")
    shell(f"dnf -q -y install {' '.join(PACKAGES)}")
    from ansible_collections.intellistream.sage.tests.benchmark.store import Store

    store = Store("/tmp/state")
    store.capture(resource(SMALL))
    median = statistics.median(timed(lambda: store.capture(resource(SMALL))) for dummy in range(ROUNDS))
    print(f"three small packages: capture {median:.3f} s")
    for name in ("many", "one"):
        big(store, name)
    upgrade(store, SMALL, content)
    upgrade(store, ["many"], content)


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        inside()
    else:
        outside(sys.argv[1:])
