# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures of packages, measured without the ledger."""

from __future__ import annotations

import os
import shutil
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents, store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource


class Store:
    """Captures resources into a state directory, each time into a new place.

    :ivar bytes: of the last capture.
    """

    def __init__(self, root: str) -> None:
        os.makedirs(root)
        state = open_state(root, create=True)
        if state is None:
            raise RuntimeError("there is no state")
        self._state = state
        self.bytes = 0

    def capture(self, resource: Resource) -> None:
        """As the engine does it: first the space is looked at."""
        with (
            contents.point_dir(self._state, "benchmark", str(time.time_ns()), create=True) as point,
            contents.content_dir(point, 0, create=True) as where,
            store.writer(point, 0) as items,
        ):
            resource.need()
            facts = resource.capture(where, items)
            items.finish()
        self.bytes = facts["bytes"]

    def discard(self) -> None:
        """Make room."""
        top = os.path.join(self._state.path, "store")
        for name in os.listdir(top):
            shutil.rmtree(os.path.join(top, name))
