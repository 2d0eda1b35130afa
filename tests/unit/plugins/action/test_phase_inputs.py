# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decides a phase's result is among its inputs, and a secret is none of it."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib

SECRET = "s3cret-one"
RECORDED: dict[str, t.Any] = {
    "sage_index_url": f"https://me:{SECRET}@index.example/simple?token={SECRET}",
    "sage_extra_index_urls": ["https://a.example/simple", f"https://{SECRET}@b.example/simple"],
    "sage_environment": {
        "UV_INDEX": f"own=https://me:{SECRET}@own.example/simple",
        "UV_INDEX_OWN_PASSWORD": SECRET,
        "PIP_DEFAULT_TIMEOUT": "5",
        "API_TOKEN": SECRET,
    },
}
ROTATED = json.loads(json.dumps(RECORDED).replace(SECRET, "s3cret-two"))
# What of the variables is set otherwise, and the inputs of python_deps that are others by that.
DECIDES: dict[str, tuple[dict[str, t.Any], str]] = {
    "the same": ({}, ""),
    "tokens were rotated": (ROTATED, ""),
    "index": ({"sage_index_url": "https://other.example/simple"}, "index_url"),
    "index, unset": ({"sage_index_url": ""}, "index_url"),
    "another place in the query": ({"sage_index_url": "https://index.example/simple?channel=beta"}, "index_url"),
    "order of indexes": ({"sage_extra_index_urls": RECORDED["sage_extra_index_urls"][::-1]}, "extra_index_urls"),
    "wheels of a directory": ({"sage_find_links": ["/srv/wheels"]}, "find_links"),
    "no index": ({"sage_no_index": True, "sage_find_links": ["/srv/wheels"]}, "find_links no_index"),
    "prereleases": ({"sage_environment": {**RECORDED["sage_environment"], "PIP_PRE": "1"}}, "environment"),
    "constraints": (
        {"sage_environment": {**RECORDED["sage_environment"], "UV_CONSTRAINT": "/c"}},
        "content of /c environment",
    ),
    "strategy": ({"sage_environment": {**RECORDED["sage_environment"], "UV_INDEX_STRATEGY": "x"}}, "environment"),
    "build policy": ({"sage_environment": {**RECORDED["sage_environment"], "PIP_NO_BINARY": ":all:"}}, "environment"),
    "index of uv": ({"sage_environment": {"UV_INDEX": "own=https://else.example/"}}, "environment"),
    # How it is reached, by what, and how long that may take.
    "patience": ({"sage_environment": {**RECORDED["sage_environment"], "PIP_DEFAULT_TIMEOUT": "60"}}, ""),
    "proxy": ({"sage_https_proxy": "http://proxy.example:3128"}, ""),
    "certificates": ({"sage_ca_certificate": "/etc/ssl/ours.pem"}, ""),
    "the tool": ({"sage_installer": "pip", "sage_uv": "/opt/uv", "sage_installer_timeout": 60}, ""),
    "cache alone": ({"sage_offline": True}, ""),
}


@pytest.mark.slow
def test_i12_what_decides_a_result_is_among_the_inputs(tmp_path: pathlib.Path) -> None:
    """A rerun with another index said that nothing was left to do."""
    root = str(tmp_path / "root")
    names: dict[str, t.Any] = {"sage_root": root, **RECORDED}
    request = {"intellistream.sage.sage_request": {}, "register": "__sage_request"}
    include = {"ansible.builtin.include_vars": str(TOP / "roles/sage/vars/main.yml")}
    begin = {"intellistream.sage.sage_checkpoint": {"root": root, "inputs": "{{ __sage_inputs }}"}}
    look = {
        "intellistream.sage.sage_checkpoint_info": {"root": root, "inputs": "{{ __sage_inputs }}"},
        "register": "looked",
    }
    say = {
        "ansible.builtin.debug": {
            "msg": "{{ case }}: {{ looked.resume.reasons | map(attribute='reason')"
            " | select('match', 'input ') | map('regex_replace', '^input (.*) changed from .*', '\\1') | join(' ') }}."
        }
    }

    def a_play(variables: dict[str, t.Any], *tasks: dict[str, t.Any]) -> dict[str, t.Any]:
        return {"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [request, include, *tasks]}

    plays = [a_play(names, begin)]
    plays += [a_play({**names, **changed, "case": case}, look, say) for case, (changed, dummy) in DECIDES.items()]
    played = play(tmp_path, plays)
    assert played.status == 0, played.output
    says = [line.partition("msg: ")[2].strip("'\"") for line in played.output.splitlines() if "msg: " in line]
    assert says == [f"{case}: {inputs}." for case, (dummy, inputs) in DECIDES.items()]
    recorded = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert any(b"index.example" in path.read_bytes() for path in recorded)
    assert not [path for path in recorded if SECRET.encode() in path.read_bytes()]
