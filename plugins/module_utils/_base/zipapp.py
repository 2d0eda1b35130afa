"""One file that runs on its own, without Ansible, made of what the module itself came in."""

from __future__ import annotations

import ast
import io
import os
import typing as t
import zipfile

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError

if t.TYPE_CHECKING:
    import types

_PACKAGE = "ansible_collections.intellistream.sage.plugins.module_utils"
_TIME = (1980, 1, 1, 0, 0, 0)
Source = t.Callable[[str], "bytes | None"]


def build(
    start: types.ModuleType,
    settings: t.Mapping[str, object],
    interpreter: str,
    others: t.Mapping[str, bytes],
    entire: bool = False,
) -> bytes:
    """The program: the same for the same settings and sources, byte for byte.

    :param start: the helper whose C(main(settings, arguments)) it is.
    :param settings: what that gets, literals only.
    :param interpreter: the path of the system's Python.
    :param others: files that are no Python, path below C(module_utils) → content.
    :param entire: take all that came with the module, when it came in an archive: finding out what imports what takes
        long.
    :returns: the content of an executable file.
    :raises StateError: the sources cannot be found.
    """
    name = start.__name__[len(_PACKAGE) + 1 :]
    files = {"__main__.py": _start(name, settings)}
    parts = _PACKAGE.split(".")
    for depth in range(1, len(parts) + 1):
        files["/".join([*parts[:depth], "__init__.py"])] = b""
    archive = _archive(start) if entire else None
    for carried, source in (_all(archive) if archive else closure(name, _source(start))).items():
        folder, dummy, module = carried.rpartition(".")
        files["/".join([*parts, folder, "__init__.py"])] = b""
        files["/".join([*parts, folder, f"{module}.py"])] = source
    files.update(("/".join([*parts, path]), text) for path, text in others.items())
    program = io.BytesIO()
    program.write(f"#!{interpreter} -I\n".encode())
    with zipfile.ZipFile(program, "a", zipfile.ZIP_DEFLATED) as content:
        for path, text in sorted(files.items()):
            content.writestr(zipfile.ZipInfo(path, _TIME), text, zipfile.ZIP_DEFLATED)
    return program.getvalue()


def _archive(start: types.ModuleType) -> str | None:
    """The archive that Ansible sent, if this comes from one."""
    return getattr(start.__spec__.loader, "archive", None) if start.__spec__ else None


def _all(archive: str) -> dict[str, bytes]:
    """All modules of this collection in an archive, C(folder.module), with their sources."""
    inside = _PACKAGE.replace(".", "/") + "/"
    with zipfile.ZipFile(archive) as content:
        return {
            name[len(inside) : -len(".py")].replace("/", "."): content.read(name)
            for name in content.namelist()
            if name.startswith(inside) and name.endswith(".py") and not name.endswith("__init__.py")
        }


def _start(name: str, settings: t.Mapping[str, object]) -> bytes:
    return (
        # The package manager's umask or a service's is no reason to make what others may write.
        "import os\nimport sys\n\nos.umask(os.umask(0o077) | 0o022)\n"
        f"from {_PACKAGE}.{name} import main\n\nsys.exit(main({dict(settings)!r}, sys.argv[1:]))\n"
    ).encode()


def _source(start: types.ModuleType) -> Source:
    """Where this module's own sources are: in the archive that Ansible sent, or in a directory."""
    archive = _archive(start)
    if archive is not None:
        return _all(archive).get
    utils = os.path.dirname(os.path.dirname(os.path.abspath(str(start.__file__))))
    return lambda name: _read(os.path.join(utils, *name.split(".")) + ".py")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def closure(start: str, source: Source) -> dict[str, bytes]:
    """A module of this collection with all it imports, wherever an import stands.

    :param start: C(folder.module).
    :param source: the source of such a module; None when it is not there.
    :returns: the sources by module.
    :raises StateError: one of them is not there.
    """
    sources: dict[str, bytes] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        text = source(name)
        if text is None:
            raise StateError(f"The program needs {name}, which is not in what Ansible sent.")
        sources[name] = text
        waiting += [other for other in _imported(text) if other not in sources]
    return sources


def _imported(text: bytes) -> list[str]:
    """The modules of this collection that a source imports."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(_PACKAGE):
            continue
        inside = (node.module or "")[len(_PACKAGE) + 1 :]
        # Either `from …module_utils._folder.module import name` or `from …module_utils._folder import module`.
        names += [inside] if "." in inside else [f"{inside}.{alias.name}" for alias in node.names]
    return names
