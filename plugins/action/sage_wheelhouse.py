# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose and fetch wheels on the controller, and send a host those it lacks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    SageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import (
    create_new,
    open_regular,
    staged_name,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.module_utils._plans import fetch_wheels, host_group, wheelhouse
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel
from ansible_collections.intellistream.sage.plugins.modules.sage_wheelhouse import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils import _wheels
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction
from ansible_collections.intellistream.sage.plugins.plugin_utils._inputs import on_controller
from ansible_collections.intellistream.sage.plugins.plugin_utils._plans import alone


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_wheelhouse"

    def work(self, options: Result, task_vars: Result) -> Result:
        """Do what the state says."""
        if options["state"] == "absent":
            return self.on_host(options, task_vars)
        source = on_controller(options["source"]) if options["source"] else f"{self.run_directory}/sage-wheels"
        if options["state"] == "fetched":
            return self._fetched(options, source, task_vars)
        return self._present(options, source, task_vars)

    def _present(self, options: Result, source: str, task_vars: Result) -> Result:
        """Find out what this host lacks, and send it."""
        result = {"changed": False, "sent": [], "bytes": 0, "wanting": [], "fetched": []}
        if not any(
            distribution.get("action") != "keep" and not distribution.get("path")
            for distribution in options["distributions"]
        ):
            return result
        wheels = self._needed(options, source, task_vars)
        host_result = self.on_host(self._asked(options, wheels), task_vars)
        missing = host_result["missing"] if isinstance(host_result.get("missing"), list) else []
        wheels = [wheel for wheel in wheels if wheel.file in missing]
        result.update(changed=bool(wheels), sent=[wheel.file for wheel in wheels])
        if not wheels or self.dry:
            return result
        free = host_result["free"] if isinstance(host_result.get("free"), int) else 0
        if not options["fetch"]:
            wanting = [wheel for wheel in wheels if not os.path.exists(os.path.join(source, wheel.file))]
            if wanting:
                return {**result, "changed": False, "sent": [], "wanting": [wheel._asdict() for wheel in wanting]}
        # The first host to come has it fetched and put together, the others find it.
        with alone(source if options["fetch"] else self.run_directory, "sage-wheels"):
            if options["fetch"]:
                result["fetched"] = self._fetch(wheels, source, options)
            bundle, wheels = _wheels.bundle(wheels, source, self.run_directory)
        size = sum(wheel.size for wheel in wheels)
        need = size + max(wheel.size for wheel in wheels)
        if free < need:
            raise wheelhouse.no_room(options["path"], need, free)
        self._send(bundle, self._asked(options, wheels), task_vars)
        return {**result, "bytes": size}

    def _fetch(self, wheels: list[Wheel], source: str, options: Result) -> list[str]:
        """Fetch on the controller. What fails for one host fails for all, so the others do not wait for it again."""
        key = hashlib.sha256(repr((source, wheels)).encode()).hexdigest()
        note = f"{self.run_directory}/sage-wheels-failed-{key}"
        if os.path.exists(note):
            with open(note, encoding="utf-8") as file:
                noted = json.load(file)
            raise InstallerError(noted["what"], untouched=noted["untouched"], advice=noted["advice"])
        try:
            return fetch_wheels.fetch(wheels, source, Index.from_options(options))
        except SageError as error:
            with open(note, "w", encoding="utf-8") as file:
                json.dump(error.as_dict(), file)
            raise

    def _needed(self, options: Result, source: str, task_vars: Result) -> list[Wheel]:
        if not options["lock"]:
            raise InputError(
                "The module's option `lock` is missing: the lock file says which wheels are needed.",
                untouched="everything.",
            )
        path = on_controller(options["lock"])
        try:
            with open(path, "rb") as file:
                text = lockfile.decode(file.read())
        except OSError as error:
            raise InputError(
                f"The lock file {path} cannot be read: {error.strerror}.", untouched="everything."
            ) from error
        group = options["group"]
        if not group:
            group = self.on_host({**self._asked(options, []), "venv": options["venv"]}, task_vars)["group"]
        return _wheels.needed(text, options["distributions"], host_group.parse(group), path, source)

    @staticmethod
    def _asked(options: Result, wheels: t.Iterable[Wheel]) -> Result:
        """What the host has to know: no credentials, nothing about the controller."""
        return {
            "path": options["path"],
            "wheels": [{"file": wheel.file, "digest": wheel.digest, "size": wheel.size} for wheel in wheels],
        }

    def _send(self, bundle: str, options: Result, task_vars: Result) -> None:
        """One file to the host's temporary directory, from where the module takes it."""
        shell = self.shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        try:
            remote = shell.join_path(shell.tmpdir, "wheels")
            self._transfer_file(bundle, remote)
            self._fixup_perms2((shell.tmpdir, remote))
            self.on_host({**options, "bundle": remote}, task_vars)
        finally:
            self._remove_tmp_path(shell.tmpdir)

    def _fetched(self, options: Result, source: str, task_vars: Result) -> Result:
        """Let this host fetch, and bring it to the controller."""
        wheels = [Wheel.of(wheel_options) for wheel_options in options["wheels"]]
        result = {"changed": False, "fetched": []}
        with alone(self.run_directory, "sage-wheels-fetched"):
            absent = [wheel for wheel in wheels if not os.path.exists(os.path.join(source, wheel.file))]
            if not absent or self.dry:
                return result
            host_result = self.on_host({**options, "wheels": [wheel._asdict() for wheel in absent]}, task_vars)
            os.makedirs(source, exist_ok=True)
            for wheel in absent:
                self._bring(wheel, options["path"], source)
        return {**host_result, "changed": bool(host_result["fetched"])}

    def _bring(self, wheel: Wheel, path: str, source: str) -> None:
        # Into a directory of our own: a connection writes through whatever is at a name that others can foresee.
        fetched = os.path.join(self.run_directory, f"sage-wheel-{hashlib.sha256(repr(wheel).encode()).hexdigest()}")
        kept = os.path.join(source, wheel.file)
        staged = staged_name(kept)
        try:
            self._connection.fetch_file(self.shell.join_path(path, wheel.file), fetched)
            with open_regular(fetched) as stream:
                digest = wheelhouse.digest_of(stream, wheel.digest)
                if digest != wheel.digest:
                    raise StoreError(
                        f"{wheel.file} in {path} is not the wheel that the lock file names: its hash is {digest}, not "
                        f"{wheel.digest}.",
                        untouched="every host, and the wheelhouse.",
                        advice="Remove it there; it is then fetched again.",
                    )
                stream.seek(0)
                with create_new(staged) as file:
                    shutil.copyfileobj(stream, file)
            os.chmod(staged, 0o644)
            os.rename(staged, kept)
        finally:
            for leftover in (fetched, staged):
                if os.path.lexists(leftover):
                    os.unlink(leftover)
