# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the capture of Debian packages costs, against tar and gzip, against dpkg-repack, and against the upgrade itself.

    python tests/benchmark/dpkg.py [--without-dpkg-repack]

downloads a package of 107 MB and dpkg-repack, and measures in a container without network that is thrown away;
CONTAINERS_CONF is taken from the environment. dpkg-repack alone takes minutes.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource
    from ansible_collections.intellistream.sage.tests.benchmark.store import Store

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = "/collections/ansible_collections/intellistream/sage"
IMAGE = "localhost/sage-bookworm"
BIG = "libllvm14"
REPACK = ("dpkg-repack", "dpkg-dev", "libdpkg-perl")
ROUNDS = 5
SMALL = ("small-a", "small-b", "small-c")


def outside(arguments: t.Sequence[str]) -> None:
    """Get the packages and start the container."""
    with tempfile.TemporaryDirectory() as work:
        names = [BIG] if arguments else [BIG, *REPACK]
        subprocess.run(["apt-get", "download", "-q", *names], cwd=work, check=True)
        mounts = [f"--volume={CHECKOUT}:{COLLECTION}:ro", f"--volume={work}:/packages:ro"]
        environment = ["--env=PYTHONPATH=/collections", "--env=PYTHONDONTWRITEBYTECODE=1"]
        command = ["python3", "-u", f"{COLLECTION}/tests/benchmark/dpkg.py", *arguments]
        subprocess.run(["podman", "run", "--rm", "--network=none", *mounts, *environment, IMAGE, *command], check=True)


class Cost(t.NamedTuple):
    """Seconds on the clock, and seconds of processors: the latter hardly depend on what else the machine does."""

    clock: float
    processor: float


def timed(action: t.Callable[[], object]) -> Cost:
    begun, used = time.monotonic(), sum(os.times()[:4])
    action()
    return Cost(time.monotonic() - begun, sum(os.times()[:4]) - used)


def typical(costs: t.Iterable[Cost]) -> Cost:
    clocks, processors = zip(*costs)
    return Cost(statistics.median(clocks), statistics.median(processors))


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def median(action: t.Callable[[], object], rounds: int = ROUNDS) -> float:
    return typical(timed(action) for dummy in range(rounds)).clock


def removal(names: t.Sequence[str]) -> Resource:
    """Packages that are going to be removed: without what apt's resolver takes."""
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource

    return DpkgResource([], "present", [{"name": name, "arch": "", "before": "", "after": None} for name in names])


def big(store: Store, repack: bool) -> None:
    shell(f"dpkg -i --force-depends /packages/{BIG}_*.deb")
    files = f"dpkg-query -L {BIG} >/tmp/files"
    shell(files)
    plain = "tar -cf - --no-recursion -T /tmp/files 2>/dev/null | gzip -1 >/tmp/plain.tar.gz"
    shell(plain)
    store.capture(removal([BIG]))
    own, tar = [], []
    # In turns, so that a busy moment of the machine hits both.
    for dummy in range(ROUNDS):
        tar.append(timed(lambda: shell(plain)))
        own.append(timed(lambda: store.capture(removal([BIG]))))
        store.discard()
    ours, theirs = typical(own), typical(tar)
    size = os.path.getsize("/tmp/plain.tar.gz")
    print(f"{BIG}: capture {_said(ours)}, {store.bytes / 1e6:.1f} MB, synced and checked by reading it all")
    print(f"{BIG}: tar | gzip -1 {_said(theirs)}, {size / 1e6:.1f} MB; capture takes {_times(ours, theirs)} of that")
    if repack:
        shell(
            "dpkg -i --force-depends /packages/dpkg-dev_*.deb /packages/libdpkg-perl_*.deb /packages/dpkg-repack_*.deb"
        )
        os.makedirs("/tmp/repack")
        took = timed(lambda: shell(f"cd /tmp/repack && dpkg-repack {BIG}"))
        made = os.listdir("/tmp/repack")
        if not made:
            raise RuntimeError("dpkg-repack made nothing")
        size = os.path.getsize(f"/tmp/repack/{made[0]}")
        print(f"{BIG}: dpkg-repack {_said(took)}, {size / 1e6:.1f} MB; that takes {_times(took, ours)} of capture")


def _said(cost: Cost) -> str:
    return f"{cost.clock:.2f} s ({cost.processor:.2f} s of processors)"


def _times(one: Cost, other: Cost) -> str:
    return f"{one.clock / other.clock:.2f} times ({one.processor / other.processor:.2f} by processors)"


def small(store: Store) -> None:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource
    from ansible_collections.intellistream.sage.tests.system.debs import Repository

    repository = Repository(pathlib.Path("/srv/repository"))
    files: dict[str, str] = {f"/opt/small/%s/file{number}": "x" * 4000 for number in range(20)}
    for version in ("1", "2"):
        for name in SMALL:
            content = {path % name: f"{text}{version}" for path, text in files.items()}
            content[f"/etc/{name}.conf"] = f"{version}\n"
            repository.build(name, version, files=content, conffiles=[f"/etc/{name}.conf"])
    repository.offer()
    wanted = " ".join(f"{name}=%s" for name in SMALL)
    install = "apt-get install -y --allow-downgrades " + wanted
    shell(install % (("1",) * 3))
    print(f"3 small packages: capture {median(lambda: store.capture(removal(SMALL))):.3f} s")
    plan = median(lambda: DpkgResource(list(SMALL), "latest").plan())
    print(f"3 small packages: plan by apt's resolver, with what scripts do {plan:.3f} s")
    upgrades = []
    for dummy in range(ROUNDS):
        upgrades.append(timed(lambda: shell(install % (("2",) * 3))).clock)
        shell(install % (("1",) * 3))
    print(f"3 small packages: apt-get install of the next version {statistics.median(upgrades):.2f} s")


def main() -> None:
    if not os.path.exists("/run/.containerenv"):
        outside(sys.argv[1:])
        return
    from ansible_collections.intellistream.sage.tests.benchmark.store import Store

    store = Store("/srv/state")
    small(store)
    big(store, "--without-dpkg-repack" not in sys.argv)


if __name__ == "__main__":
    main()
