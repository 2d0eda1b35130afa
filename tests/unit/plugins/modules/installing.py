# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of the installing modules share: a fake module, little wheels, environments, both tools."""

from __future__ import annotations

import ensurepip
import functools
import os
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._installers import create_venv, find_uv, interpreter
from ansible_collections.intellistream.sage.plugins.modules import sage_install, sage_resolve
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse

if t.TYPE_CHECKING:
    import pathlib
    import types

MINIMUM = "3.9"
UV = find_uv.find(None, None)
# Older ones cannot resolve without installing; a host whose Python brings such a pip needs uv.
PIP = tuple(int(part) for part in ensurepip.version().split(".")[:2]) >= (22, 2)
TOOLS = [*(["uv"] if UV else []), *(["pip"] if PIP else [])]
# For what is decided before a tool is started, or is the same with either: the quicker one will do.
EITHER = pytest.mark.parametrize("tool", TOOLS[:1], indirect=True)


class FakeModule:
    """As much of AnsibleModule as the modules' functions use."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.no_log_values: set[str] = set()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _defaults(spec: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: option.get("default") for key, option in spec.items()}


class Bench:
    """A host with one tool, one environment and some wheels."""

    def __init__(self, base: pathlib.Path, tool: str, template: t.Callable[[str], str]) -> None:
        self.base = base
        self.tool = tool
        self.venv = str(base / "root" / ".sage" / "venv")
        self.wheels = str(base / "wheels")
        self.template = template
        self.warnings: list[str] = []
        os.makedirs(self.wheels, exist_ok=True)

    def call(self, module: types.ModuleType, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """Run a module's function with its defaults and this bench's options; its warnings are in C(warnings)."""
        spec = module.SPEC.options
        params = _defaults(spec)
        params.update(installer=self.tool, uv=UV or None, find_links=[self.wheels], no_index=True)
        for one in options.get("sources") or ():
            one.setdefault("extras", [])
            one.setdefault("editable", False)
        params.update({"minimum": MINIMUM} if "minimum" in spec else {})
        params.update(options)
        fake = FakeModule(params, check)
        self.warnings = fake.warnings
        result = module.work(fake)
        assert isinstance(result, dict)
        return result

    def make_venv(self) -> None:
        """An environment in place, quickly: a copy of one that the tool made."""
        os.makedirs(os.path.dirname(self.venv), exist_ok=True)
        shutil.copytree(self.template(self.tool), self.venv, symlinks=True, copy_function=os.link)
        activate = os.path.join(self.venv, "bin", "activate")
        with open(activate, encoding="utf-8") as file:
            text = file.read()
        # As if it had been made here.
        os.unlink(activate)
        with open(activate, "w", encoding="utf-8") as file:
            file.write(text.replace(self.template(self.tool), self.venv))

    def wheel(self, name: str, version: str, requires: t.Sequence[str] = ()) -> None:
        wheelhouse.make_wheel(self.wheels, name, version, requires)

    def resolve(self, *requirements: str, **options: t.Any) -> dict[str, t.Any]:
        return self.call(sage_resolve, venv=self.venv, requirements=list(requirements), **options)

    def install(self, distributions: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
        spec = sage_install.SPEC.options["distributions"]["options"]
        filled = [{**_defaults(spec), **one} for one in distributions]
        return self.call(sage_install, venv=self.venv, distributions=filled, **options)

    def bring(self, *requirements: str, **options: t.Any) -> dict[str, t.Any]:
        """Resolve and install."""
        return self.install(self.resolve(*requirements, **options)["plan"]["distributions"])

    def versions(self) -> dict[str, str]:
        """Distributions and versions that the environment's own Python sees."""
        script = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'], d.version)"
        run = subprocess.run([f"{self.venv}/bin/python", "-c", script], capture_output=True, text=True, check=True)
        found = dict(line.split() for line in run.stdout.splitlines())
        return {name: version for name, version in found.items() if name not in ("pip", "setuptools")}


def actions(result: dict[str, t.Any]) -> dict[str, tuple[str, str | None, str | None]]:
    """Name -> action, version before, version after."""
    return {
        one["name"]: (one["action"], one["from_version"], one["version"]) for one in result["plan"]["distributions"]
    }


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[[str], str]:
    """The path of an environment of a tool's, of the Python of the tests, to be copied; made when first asked for."""

    @functools.cache
    def made(tool: str) -> str:
        path = str(tmp_path_factory.mktemp(tool) / "venv")
        choice = find_uv.InstallerChoice(tool, UV if tool == "uv" else "")
        create_venv.create(path, interpreter.probe(sys.executable), choice, 0)
        return path

    return made


@pytest.fixture(params=["uv", pytest.param("pip", marks=pytest.mark.slow)])
def tool(request: pytest.FixtureRequest) -> str:
    """Each of the tools that are here."""
    if request.param not in TOOLS:
        pytest.skip(f"there is no {request.param} here, or it is too old")
    return str(request.param)


@pytest.fixture
def bench(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tool: str, template: t.Callable[[str], str]
) -> Bench:
    """A bench, with caches of its own and none of this machine's settings."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return Bench(tmp_path, tool, template)
