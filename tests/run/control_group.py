"""A control group for each step of the tests: what it started is counted and ended with it, containers too.

podman starts containers in a session of their own, so neither a process group nor the times of child processes know of
them. As root a step gets a control group with two below it, one for its processes and one that podman is told to put
containers in (`SAGE_TEST_CGROUP`); elsewhere only the direct children are known.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

MOUNT = pathlib.Path("/sys/fs/cgroup")
RUN = f"sage-test-{os.getpid()}"
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent is gone, even if it was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class ControlGroup:
    """The control group of one step.

    :ivar parent: what podman's `--cgroup-parent` gets; empty where there can be none.
    """

    def __init__(self, step: str) -> None:
        # Version 1 has a tree for each controller, version 2 a single one.
        tree = MOUNT / "cpuacct" if (MOUNT / "cpuacct").is_dir() else MOUNT
        self._tree = tree / RUN / step
        self.parent = ""
        with contextlib.suppress(OSError):
            (self._tree / "processes").mkdir(parents=True)
            (self._tree / "containers").mkdir()
            self.parent = f"/{RUN}/{step}/containers"

    def enter(self) -> None:
        """Move the calling process into it; it ends with who started it."""
        end_with_parent()
        if self.parent:
            (self._tree / "processes" / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> float:
        """Seconds of processor time used so far; 0 where it cannot be known."""
        return self._seconds(self._tree)

    @staticmethod
    def _seconds(tree: pathlib.Path) -> float:
        with contextlib.suppress(OSError):
            if (tree / "cpuacct.usage").exists():
                return int((tree / "cpuacct.usage").read_text()) / 1e9
            usage = (tree / "cpu.stat").read_text().split()
            return int(usage[usage.index("usage_usec") + 1]) / 1e6
        return 0.0

    def end(self) -> None:
        """Remove the containers that were started in it, kill what is still in it, and remove it."""
        if not self.parent:
            return
        self._remove_containers()
        for _attempt in range(50):
            processes = self._processes()
            if not processes:
                break
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)
        trees = [MOUNT / controller / RUN for controller in os.listdir(MOUNT)] + [MOUNT / RUN]
        for tree in trees:
            for directory, _children, _files in os.walk(tree / self._tree.name, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            with contextlib.suppress(OSError):
                tree.rmdir()

    def _remove_containers(self) -> None:
        """Killing their processes leaves podman's record of them, and what a step left is of no use to the next one."""
        if not self._seconds(self._tree / "containers") or not shutil.which("podman"):
            return
        listed = self._podman("ps", "--all", "--quiet").split()
        places = self._podman("inspect", "--format", "{{.Id}} {{.HostConfig.CgroupParent}}", *listed) if listed else ""
        mine = [line.split()[0] for line in places.splitlines() if line.split()[1:] == [self.parent]]
        if mine:
            self._podman("rm", "--force", "--time", "0", *mine)

    def _podman(self, *arguments: str) -> str:
        # What another run removes meanwhile makes it fail, and is no concern.
        command = ["podman", "--log-level", "fatal", *arguments]
        return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def _processes(self) -> list[int]:
        processes: list[int] = []
        for directory, _children, _files in os.walk(self._tree):
            with contextlib.suppress(OSError):
                processes += map(int, (pathlib.Path(directory) / "cgroup.procs").read_text().split())
        return processes
