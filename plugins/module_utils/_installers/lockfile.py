"""Lock files: C(pylock.toml) (PEP 751) and requirements files with pins."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._installers.marker import applies, satisfies
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin, pin_line, split

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter

_PYLOCK = re.compile(r"^\s*lock-version\s*=", re.MULTILINE)
_OPTION = re.compile(r"\s--hash[=\s]+(\S+)")
_REQUIRES_PYTHON = re.compile(r'(?m)^requires-python = ".*"$')
# They say where to look, which is for the index options to say.
_INDEX_OPTIONS = ("-i ", "--index-url", "--extra-index-url", "-f ", "--find-links", "--no-index", "--trusted-host")
_ADVICE = "Give a pylock.toml (PEP 751), or a requirements file in which every line is name==version."


def _unusable(problem: str) -> InputError:
    return InputError(f"The lock file cannot be used: {problem}.", untouched="everything.", advice=_ADVICE)


def form_of(path: str) -> str:
    """C(pylock) for a name that ends in C(.toml), else C(requirements)."""
    return "pylock" if path.endswith(".toml") else "requirements"


def parse(text: str, python: Interpreter) -> list[Pin]:
    """The pins of a lock file, of whichever form, those of other platforms included.

    :param text: of the lock file.
    :param python: to resolve for; also reads TOML where this Python cannot.
    :raises InputError: it is not a lock file, or needs something that is not supported.
    """
    pins = _parse_pylock(text, python) if _PYLOCK.search(text) else _parse_requirements(text)
    if not pins:
        raise _unusable("it names no distribution")
    return pins


def applicable(pins: t.Iterable[Pin], python: Interpreter) -> list[Pin]:
    """The pins whose markers hold for I(python).

    :raises InputError: a marker cannot be read, or a distribution is pinned twice.
    """
    by_name: dict[str, Pin] = {}
    for pin in pins:
        try:
            if not applies(pin.marker, python.markers):
                continue
        except ValueError as error:
            raise _unusable(str(error)) from error
        if pin.name in by_name and by_name[pin.name] != pin:
            raise _unusable(f"it pins {pin.name} twice for this host")
        by_name[pin.name] = pin._replace(marker="")
    return list(by_name.values())


def _parse_requirements(text: str) -> list[Pin]:
    pins = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not line or line.startswith(_INDEX_OPTIONS):
            continue
        if line.startswith("-"):
            raise _unusable(f"it has the option {line.split()[0]!r}")
        hashes = tuple(sorted(_OPTION.findall(line)))
        requirement, dummy, marker = _OPTION.sub("", line).partition(";")
        try:
            name, dummy_extras, specifier = split(requirement)
        except ValueError as error:
            raise _unusable(str(error)) from error
        version = re.match(r"^={2,3}\s*([^\s,*]+)$", specifier)
        if not version:
            raise _unusable(f"{requirement.strip()!r} is not pinned to one version")
        pins.append(Pin(name, version.group(1), hashes=hashes, marker=marker.strip()))
    return pins


def _toml(text: str, python: Interpreter) -> dict[str, t.Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _unusable(f"it is not TOML: {error}") from error
    # This is an old Python, that of the environment is not.
    script = "import json, sys, tomllib; print(json.dumps(tomllib.loads(sys.stdin.read()), default=str))"
    try:
        outcome = command.checked([python.executable, "-I", "-c", script], stdin=text, timeout=60)
    except InstallerError as error:
        raise _unusable(f"it is not TOML, or {python.executable} is older than 3.11 and cannot read it") from error
    return t.cast("dict[str, t.Any]", json.loads(outcome.stdout))


def _parse_pylock(text: str, python: Interpreter) -> list[Pin]:
    document = _toml(text, python)
    if not str(document.get("lock-version", "")).startswith("1."):
        raise _unusable(f"its lock-version is {document.get('lock-version')!r}, and only 1.x is supported")
    requires_python = document.get("requires-python")
    try:
        if requires_python and not satisfies(python.version, requires_python):
            raise _unusable(f"it is for Python {requires_python}, and {python.executable} is {python.version}")
        environments = document.get("environments") or [""]
        if not any(applies(marker, python.markers) for marker in environments):
            raise _unusable(f"it is not for this platform, but for {environments}")
    except ValueError as error:
        raise _unusable(str(error)) from error
    return [_package(package) for package in document.get("packages", [])]


def _package(package: dict[str, t.Any]) -> Pin:
    name = canonical(str(package.get("name", "")))
    marker = str(package.get("marker", ""))
    directory = package.get("directory")
    if directory is not None:
        path = str(directory.get("path", ""))
        if not os.path.isabs(path):
            raise _unusable(f"{name} is a directory with a relative path, {path!r}")
        return Pin(name, package.get("version"), path=path, editable=bool(directory.get("editable")), marker=marker)
    for kind in ("vcs", "archive"):
        if kind in package:
            raise _unusable(f"{name} comes from {kind}, which is not supported")
    if "version" not in package:
        raise _unusable(f"{name} has no version")
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    hashes = {f"{kind}:{digest}" for file in files for kind, digest in file.get("hashes", {}).items()}
    return Pin(name, str(package["version"]), hashes=tuple(sorted(hashes)), marker=marker)


def text(pins: t.Iterable[Pin], form: str, minor: str) -> str:
    """A lock file of I(pins): the same text for the same pins.

    :param form: C(pylock) or C(requirements).
    :param minor: the Python it was resolved for, C(3.11).
    :raises InputError: a pin lacks what the form wants.
    """
    ordered = sorted(pins)
    if form == "requirements":
        return "".join(f"{pin_line(pin)}\n" for pin in ordered)
    parts = [f'lock-version = "1.0"\ncreated-by = "intellistream.sage"\nrequires-python = "=={minor}.*"\n']
    for pin in ordered:
        lines = ["[[packages]]", f"name = {json.dumps(pin.name)}"]
        if pin.version and pin.path is None:
            lines.append(f"version = {json.dumps(pin.version)}")
        if pin.marker:
            lines.append(f"marker = {json.dumps(pin.marker)}")
        if pin.path is not None:
            editable = ", editable = true" if pin.editable else ""
            lines.append(f"directory = {{ path = {json.dumps(pin.path)}{editable} }}")
        elif not (pin.url and pin.hashes):
            raise InputError(f"{pin.name} has no URL and hash to put into a pylock.toml.", untouched="everything.")
        else:
            lines.append(_file(pin))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _file(pin: Pin) -> str:
    name = pin.url.split("#", 1)[0].rstrip("/").rsplit("/", 1)[-1]
    hashes = ", ".join(_assignment(digest) for digest in sorted(pin.hashes))
    file = f"name = {json.dumps(name)}, url = {json.dumps(pin.url)}, hashes = {{ {hashes} }}"
    return f"wheels = [{{ {file} }}]" if name.endswith(".whl") else f"sdist = {{ {file} }}"


def _assignment(digest: str) -> str:
    algorithm, dummy, hexdigest = digest.partition(":")
    return f"{algorithm} = {json.dumps(hexdigest)}"


def for_minor(text: str, minor: str) -> str:
    """The lock file, made good for every patch level of a Python.

    uv writes the very one it resolved with, which would shut out hosts an update behind.

    :param text: of the lock file.
    :param minor: such as C(3.11).
    """
    return _REQUIRES_PYTHON.sub(f'requires-python = "=={minor}.*"', text)


def part(text: str, pins: t.Collection[Pin]) -> str:
    """The lock file of I(pins) alone, out of one that P(text) or uv wrote; empty when it has not all of them."""
    head, *packages = re.split(r"(?m)^\[\[packages\]\]\n", text.partition("\n[tool.")[0])
    by_pin = {}
    for package in packages:
        fields = dict(re.findall(r'(?m)^(name|version) = "([^"]+)"$', package))
        by_pin[canonical(fields.get("name", "")), fields.get("version")] = package.rstrip()
    chosen = [by_pin.get((pin.name, pin.version)) for pin in pins]
    if not all(chosen):
        return ""
    return "\n\n".join([head.rstrip(), *(f"[[packages]]\n{package}" for package in chosen)]) + "\n"


def decode(data: bytes) -> str:
    """The text of a lock file: UTF-8, or as PowerShell and editors of Windows write it.

    :raises InputError: it is no text.
    """
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable("it is neither UTF-8 nor UTF-16") from None


def read_file(path: str) -> str | None:
    """The lock file at I(path), None when there is none.

    :raises InputError: it is no text.
    """
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except FileNotFoundError:
        return None


def update_file(path: str, content: str, *, check_mode: bool) -> dict[str, str] | None:
    """Write the lock file at I(path) if its text changes; in check mode only find out.

    :returns: the change for diff mode; None when there is none.
    """
    before = read_file(path)
    if before == content:
        return None
    if not check_mode:
        write_file(path, content)
    return {"before": before or "", "after": content, "before_header": path}


def write_file(path: str, content: str) -> None:
    """Replace the lock file at I(path) as a whole, durably.

    Two runs may write one plan at once, so each writes under a name of its own first. Not by M(_filesystem.atomic):
    what installs would send 30 kB more for it.
    """
    import tempfile

    directory = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    names = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(names)
    finally:
        os.close(names)
