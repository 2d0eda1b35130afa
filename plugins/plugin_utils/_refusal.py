# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose variables are wrong: told in full by the first host of a run, by the others with that host's name."""

from __future__ import annotations

import re
import typing as t

# What each refusal ends with.
UNTOUCHED = "Nothing was changed."
_SAME_AS = "The same as for {host}. " + UNTOUCHED
_FORM = re.compile(re.escape(_SAME_AS).replace(re.escape("{host}"), "(.*)"))


def same_as(host: str) -> str:
    """The message of a host for which the same is wrong.

    :param host: the one that tells it.
    """
    return _SAME_AS.format(host=host)


def problems(host: str, requests: t.Mapping[str, t.Any]) -> list[str]:
    """A sentence for each thing that is wrong with the variables of a host; empty where nothing is.

    :param requests: what M(intellistream.sage.sage_request) returned, by host.
    """
    message = _message(requests.get(host))
    match = _FORM.fullmatch(message)
    if match:
        message = _message(requests.get(match[1])) or message
    return [line.removesuffix(UNTOUCHED).strip() for line in message.splitlines() if line != UNTOUCHED]


def _message(request: object) -> str:
    if not isinstance(request, dict) or not request.get("failed"):
        return ""
    return str(request.get("msg") or "its variables could not be read")
