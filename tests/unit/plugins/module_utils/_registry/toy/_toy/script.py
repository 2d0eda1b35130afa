# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The link in C(rollback.sh)."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    escape,
)

_FUNCTIONS = r"""# --- Links that name a release ---

toy_check() {
    for id in $layers; do
        check_layer "$id"
    done
}

toy_plan() {
    decode "$release"
    [ "$(readlink -- "$path")" = "$decoded" ] || plan_restore="$plan_restore$path_encoded to $release$nl"
}

toy_execute() {
    decode "$release"
    ln -s -- "$decoded" "$path.new" && mv -fT -- "$path.new" "$path" || fail "$path could not be replaced."
}

toy_verify() {
    decode "$release"
    [ "$(readlink -- "$path")" = "$decoded" ] || printf '%s is another\n' "$path_encoded"
}

"""


class ToyScript(Script):
    """The oldest capture decides."""

    functions = _FUNCTIONS

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        return ScriptLines({"release": escape(captures[0].manifest["release"])})
