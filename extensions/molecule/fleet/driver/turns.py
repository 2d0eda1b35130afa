# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members of an exhaustive case a run plays: some of them with each commit, all within a few commits."""

from __future__ import annotations

import os
import typing as t

Member = t.TypeVar("Member")


def played(members: t.Iterable[Member], shares: int) -> list[Member]:
    """The members whose turn it is, in their order.

    :param shares: after so many commits each member was played; at least one is, where there are as many members.
    :returns: every `shares`-th member, with the next commit the ones after these. All of them where the environment has
        no SAGE_TEST_TURN, the number of the commit: by hand, and with SAGE_TEST_ALL=1.
    """
    turn = os.environ.get("SAGE_TEST_TURN")
    return list(members)[int(turn) % shares :: shares] if turn else list(members)
