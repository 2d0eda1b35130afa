# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said about packages' scripts; a header answers as a dict does."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._rpm.scripts import inexact


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({}, []),
        ({"POSTIN": None, "POSTINPROG": [], "TRIGGERNAME": []}, []),
        ({"POSTIN": "true", "POSTINPROG": ["/bin/sh"]}, ["its %post may change more than its files"]),
        ({"PREIN": "x = 1", "PREINPROG": "<lua>"}, ["its %pre may change more than its files"]),
        ({"POSTINPROG": "/sbin/ldconfig", "POSTUNPROG": ["/sbin/ldconfig"]}, []),
        ({"POSTINPROG": ["/usr/bin/update-everything"]}, ["its %post may change more than its files"]),
        ({"POSTIN": "rm -rf /", "POSTINPROG": "/sbin/ldconfig"}, ["its %post may change more than its files"]),
        (
            {"PREUN": "true", "POSTTRANS": "true", "TRIGGERNAME": ["bar"], "FILETRIGGERNAME": ["/usr/lib"]},
            [
                "its %preun, %posttrans may change more than its files",
                "its triggers may change more than its files",
                "its file triggers may change more than its files",
            ],
        ),
    ],
)
def test_scripts_are_named(header: dict[str, t.Any], said: list[str]) -> None:
    assert inexact(header) == said
