# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from a request before any host is asked: what its phases depend on, and what all tasks on hosts get.

Ansible compiles a template anew for every task and host that uses it; this is computed once.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.plugin_utils import _inputs, _moments

Values = t.Mapping[str, t.Any]
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# Settings of pip and uv that choose where distributions come from, and which of them. Not among these is how they are
# reached: proxies, certificates, patience, the tool, a cache, a wheelhouse.
_CHOOSING = re.compile(
    r"(PIP|UV)_((DEFAULT_|EXTRA_)?INDEX(_URL|_STRATEGY)?|FIND_LINKS|NO_INDEX|PRE|PRERELEASE|RESOLUTION|FORK_STRATEGY"
    r"|ALL_RELEASES|ONLY_FINAL|UPLOADED_PRIOR_TO|EXCLUDE(_NEWER(_PACKAGE)?)?|(BUILD_)?CONSTRAINT|OVERRIDE"
    r"|NO_BINARY(_PACKAGE)?|ONLY_BINARY|PREFER_BINARY|NO_BUILD(_PACKAGE|_ISOLATION)?|CONFIG_SETTINGS?"
    r"|NO_SOURCES(_PACKAGE)?|TORCH_BACKEND|CONFIG_FILE|NO_CONFIG)"
)
# Those whose text is paths of the host, several with blanks between them: what is in these files chooses as well.
_NAMING_FILES = re.compile(r"(PIP|UV)_((BUILD_)?CONSTRAINT|OVERRIDE|EXCLUDE|CONFIG_FILE)")


def phase_inputs(values: Values) -> dict[str, dict[str, t.Any]]:
    """By phase, what its result depends on: a change of one of them makes the phase run again.

    What a branch stands for is no part of it: the host is asked for that.

    :param values: of a request without problems, by the names of the variables.
    :raises InputError: a lock file cannot be read.
    """
    value = values.__getitem__
    python: dict[str, t.Any] = {"python": value("sage_python")}
    if value("sage_system_packages"):
        python.update(packages=value("sage_system_packages"), state=value("sage_system_packages_state"))
    if value("sage_capture_all"):
        python.update(capture_all=True, strict=value("sage_capture_strict"))
    source: dict[str, t.Any] = {"source": value("sage_source")}
    if value("sage_source") != "index":
        # Whatever is recorded goes without credentials, so one that is replaced changes nothing.
        source.update(repository=value("sage_repository"), version=value("sage_repository_version"), commit="")
    return {
        "environment_setup": python,
        "submodule_sync": source,
        "python_deps": {
            "mode": value("sage_install_mode"),
            "version": value("sage_version"),
            "extras": value("sage_extras"),
            "extra_packages": value("sage_extra_packages"),
            "lock": _lock(values),
            **_sources(values),
        },
    }


def follows_branch(values: Values) -> bool:
    """Whether what is installed may be another commit tomorrow."""
    return values["sage_source"] == "git" and not _COMMIT.fullmatch(values["sage_repository_version"])


def task_environment(values: Values) -> dict[str, str]:
    """Of all tasks on the host. Only what is set: an empty variable would hide what the host itself is set up with."""
    variables = {"GIT_SSL_CAINFO": values["sage_ca_certificate"]}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        variables[name] = variables[name.upper()] = values[f"sage_{name}"]
    return {**{name: text for name, text in variables.items() if text}, **values["sage_environment"]}


def lease_terms(values: Values) -> dict[str, float]:
    """For how many seconds the lease of a root counts, and for how many another's is waited for."""
    return {name: _moments.seconds(values[f"sage_{of}"]) for name, of in (("seconds", "lease"), ("wait", "wait"))}


def _sources(values: Values) -> dict[str, t.Any]:
    """Where distributions come from, and which of them are chosen there: by the options, or by settings handed down."""
    names = ("index_url", "extra_index_urls", "find_links", "no_index")
    sources: dict[str, t.Any] = {name: values[f"sage_{name}"] for name in names}
    chosen = {name: text for name, text in values["sage_environment"].items() if _CHOOSING.fullmatch(str(name))}
    files = {
        path
        for name, text in chosen.items()
        if _NAMING_FILES.fullmatch(name)
        for path in ([str(text)] if name.endswith("_FILE") else str(text).split())
        if os.path.isabs(path)
    }
    sources.update(environment=chosen, files_on_host=sorted(files))
    return {name: given for name, given in sources.items() if given}


def _lock(values: Values) -> str:
    """A hash of the lock files it depends on, empty without any.

    Which of a directory's is this host's, only the host could tell; asking it would cost each finished host a call, and
    another's lock file costs it a few, once. A plan that the run itself makes follows from the other inputs.
    """
    if values["sage_lock"]:
        paths = [_inputs.on_controller(values["sage_lock"])]
    elif values["sage_lock_dir"] and values["sage_share_plan"] not in (True, "trusted"):
        directory = glob.escape(_inputs.on_controller(values["sage_lock_dir"]))
        paths = sorted(filter(os.path.isfile, glob.glob(os.path.join(directory, "pylock.*.toml"))))
    else:
        return ""
    # Ansible compiles what it imports of a collection in every run, and this is much.
    from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile

    texts = []
    for path in paths:
        try:
            text = lockfile.read_file(path)
        except OSError as error:
            text = None
            problem = str(error.strerror)
        else:
            problem = "it is gone"
        if text is None:
            raise InputError(f"The lock file {path} cannot be read: {problem}.", untouched="everything.")
        texts.append(text)
    return hashlib.sha256("".join(texts).encode()).hexdigest() if texts else ""
