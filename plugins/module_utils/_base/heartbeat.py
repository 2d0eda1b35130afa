"""A sign of life of the run that a call belongs to, from calls that know nothing of its record."""

from __future__ import annotations

import json
import os
import stat

# Set by the role to where the lease of the run lies.
LEASE_FILE = "SAGE_LEASE_FILE"
# Set to the id of the run.
RUN = "SAGE_RUN"


def beat() -> None:
    """Touch the lease that the run of this call holds, if it does: it counts as a call from now on.

    Neither read nor written under the lock: nothing but the time of that very file is changed, and whoever has taken
    the lease meanwhile has put another file in its place.
    """
    path, run = os.path.expanduser(os.environ.get(LEASE_FILE, "")), os.environ.get(RUN)
    if not run or not os.path.isabs(path):
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            return
        fields = json.loads(os.read(fd, 65536))
        if fields["held"] and fields["run"] == run:
            os.utime(fd)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # What is no lease is nobody's.
        return
    finally:
        os.close(fd)
