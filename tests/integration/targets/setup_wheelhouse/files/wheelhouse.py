# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build tiny wheels and source projects, so that tests of installers need no index.

As a program it fills a directory with a fixed set. A copy of this file is also the build backend of the source
projects it makes, which therefore need nothing to be built with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
import typing as t
import zipfile

Extras = t.Mapping[str, t.Sequence[str]]
Texts = t.Mapping[str, str]


def _wheel(
    directory: str,
    name: str,
    version: str,
    requires: t.Sequence[str] = (),
    extras: Extras | None = None,
    modules: Texts | None = None,
    scripts: Texts | None = None,
) -> str:
    """Write a wheel; returns its file name.

    :param extras: extra -> requirements.
    :param modules: path in site-packages -> text; a module that knows its version, if not given.
    :param scripts: name of a console script -> "module:function".
    """
    flat = name.replace("-", "_")
    info = f"{flat}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    for extra, lines in sorted((extras or {}).items()):
        metadata.append(f"Provides-Extra: {extra}")
        metadata += [f'Requires-Dist: {one} ; extra == "{extra}"' for one in lines]
    files = dict(modules if modules is not None else {f"{flat}/__init__.py": f"VERSION = {version!r}\n"})
    files[f"{info}/METADATA"] = "\n".join(metadata) + "\n\nMade by a test.\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        lines = [f"{script} = {target}" for script, target in sorted(scripts.items())]
        files[f"{info}/entry_points.txt"] = "\n".join(["[console_scripts]", *lines]) + "\n"
    record = []
    for path, text in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join(record) + f"{info}/RECORD,,\n"
    os.makedirs(directory, exist_ok=True)
    wheel = f"{flat}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    return wheel


def make_wheel(
    directory: str | os.PathLike[str],
    name: str,
    version: str,
    requires: t.Sequence[str] = (),
    extras: Extras | None = None,
    modules: Texts | None = None,
    scripts: Texts | None = None,
) -> str:
    """Write a wheel; returns its path."""
    return os.path.join(str(directory), _wheel(str(directory), name, version, requires, extras, modules, scripts))


def make_source(
    directory: str | os.PathLike[str],
    name: str,
    version: str,
    requires: t.Sequence[str] = (),
    extras: Extras | None = None,
    static: bool = True,
) -> str:
    """Write a project to be built from source, without build requirements; returns its path.

    :param static: whether pyproject.toml says the version.
    """
    flat = name.replace("-", "_")
    directory = str(directory)
    os.makedirs(os.path.join(directory, flat), exist_ok=True)
    with open(os.path.join(directory, flat, "__init__.py"), "w") as file:
        file.write(f"VERSION = {version!r}\n")
    with open(os.path.join(directory, "project.json"), "w") as file:
        json.dump({"name": name, "version": version, "requires": list(requires), "extras": extras or {}}, file)
    shutil.copyfile(__file__, os.path.join(directory, "backend.py"))
    lines = ["[build-system]", "requires = []", 'build-backend = "backend"', 'backend-path = ["."]', ""]
    lines += ["[project]", f'name = "{name}"', f'version = "{version}"' if static else 'dynamic = ["version"]']
    listed = (f"{key} = {json.dumps(value)}" for key, value in (extras or {}).items())
    lines += [f"dependencies = {json.dumps(list(requires))}", "[project.optional-dependencies]", *listed]
    with open(os.path.join(directory, "pyproject.toml"), "w") as file:
        file.write("\n".join(lines) + "\n")
    return directory


def _project() -> dict[str, t.Any]:
    with open("project.json") as file:
        project: dict[str, t.Any] = json.load(file)
    return project


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """The hook of PEP 517."""
    project = _project()
    flat = project["name"].replace("-", "_")
    with open(os.path.join(flat, "__init__.py")) as file:
        modules = {f"{flat}/__init__.py": file.read()}
    return _wheel(wheel_directory, project["name"], project["version"], project["requires"], project["extras"], modules)


def build_editable(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """The hook of PEP 660."""
    project = _project()
    flat = project["name"].replace("-", "_")
    return _wheel(
        wheel_directory,
        project["name"],
        project["version"],
        project["requires"],
        project["extras"],
        {f"_{flat}.pth": os.getcwd() + "\n"},
    )


def main(directory: str) -> None:
    """Fill a directory: wheels/ with two generations of a little SAGE, source/ with a third."""
    wheels = os.path.join(directory, "wheels")
    for version in ("1.0", "1.1"):
        make_wheel(wheels, "tinydep", version)
    make_wheel(wheels, "tinyextra", "1.0")
    make_wheel(wheels, "isage-tools", "0.1")
    for version in ("0.1", "0.2"):
        make_wheel(
            wheels,
            "isage",
            version,
            ["tinydep>=1.0", "isage-tools"],
            {"full": ["tinyextra"]},
            {
                "isage/__init__.py": f"VERSION = {version!r}\n",
                "isage/cli.py": "from isage import VERSION\n\n\ndef main():\n    print('core : ok', VERSION)\n",
            },
            {"sage": "isage.cli:main"},
        )
    make_wheel(wheels, "impossible", "1.0", ["tinydep>=7"])
    make_source(os.path.join(directory, "source"), "isage", "0.3", ["tinydep>=1.1"], {"full": ["tinyextra"]})


if __name__ == "__main__":
    main(sys.argv[1])
