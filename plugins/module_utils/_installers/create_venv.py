"""See to it that there is a virtual environment, whole or not at all, and a tool to install into it with."""

from __future__ import annotations

import glob
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._installers import (
    fetch_uv,
    find_python,
    find_uv,
    interpreter,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers.find_uv import InstallerChoice
from ansible_collections.intellistream.sage.plugins.module_utils._venv import others as venv_others
from ansible_collections.intellistream.sage.plugins.module_utils._venv.made_for import moved_from

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import VenvResult

# Lies in a venv while it is being made. Paths are baked into a venv, so it cannot be made elsewhere
# and renamed; a run that finds this file knows that an earlier one was killed half-way.
UNFINISHED = ".sage-unfinished"

Options = t.Mapping[str, t.Any]


class ExistingVenv(t.NamedTuple):
    """What is at a venv's path.

    :param state: C(absent), C(unfinished), C(good) or C(unsuitable).
    :param python: its interpreter; None when it has none that works.
    :param reason: why it is unsuitable; empty otherwise.
    """

    state: str
    python: Interpreter | None = None
    reason: str = ""


class EnsuredVenv(t.NamedTuple):
    """A virtual environment that is, or in check mode would be, as it was asked for.

    :ivar path: absolute.
    :ivar existing: what was there before.
    :ivar python: its interpreter; in check mode the one it would be made of.
    :ivar choice: the tool to install with.
    :ivar actions: what was, or would be, done, for people.
    :ivar replaced: name → version of what was in one that was not left as it was.
    :ivar others: what others had put into that one, and is not in the new one, for people.
    """

    path: str
    existing: ExistingVenv
    python: Interpreter
    choice: InstallerChoice
    actions: list[str]
    replaced: dict[str, str] = {}
    others: t.Sequence[str] = ()

    def result(self) -> VenvResult:
        """The module's result, with a diff."""
        before = {"state": self.existing.state, "python": self.existing.python and self.existing.python.version}
        after = {"state": "good", "python": self.python.version}
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "created": self.existing.state != "good",
            "replaced": self.replaced,
            "others": [*self.others],
            "python": interpreter.in_venv(self.path),
            "version": self.python.version,
            "base": self.python.base,
            "installer": self.choice.name,
            "uv": self.choice.uv,
            "reason": self.choice.reason,
            "diff": {
                "before": "".join(f"{key}: {text}\n" for key, text in before.items()),
                "after": "".join(f"{key}: {text}\n" for key, text in after.items())
                + "".join(f"# {action}\n" for action in self.actions),
            },
        }


def ensure(options: Options, index: Index, *, check_mode: bool) -> EnsuredVenv:
    """Look, decide, and (outside check mode) do what was decided.

    :param options: of the module: C(path), C(python), C(minimum), C(recreate), and those of the tool.
    :param index: where uv is fetched from when it has to be.
    :raises InputError: the environment may not be made anew, no interpreter will do, or the tool is not there.
    :raises InstallerError: the tool failed; what was made of the environment is gone again.
    """
    path, minimum = os.path.abspath(options["path"]), options["minimum"]
    find_python.check_minimum(minimum)
    demanded = find_python.find(options["python"], minimum) if options["python"] != "auto" else None
    existing = examine(path, minimum, demanded)
    if existing.state == "unsuitable" and not options["recreate"]:
        raise InputError(
            f"The virtual environment {path} cannot be used: {existing.reason}.",
            untouched="everything, the environment included.",
            advice="Set `recreate: true` (of the role: sage_recreate_venv) to recreate it, choose another path, "
            "or restore its interpreter.",
        )
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    actions: list[str] = []
    if existing.state == "good" and existing.python is not None:
        python = existing.python
        choice = _with_uv(choice, options, python, index, actions, check_mode)
        if choice.name == "pip" and not python.pip:
            actions.append(f"put pip into {path}")
            _add_pip(choice, options, python, check_mode)
        return EnsuredVenv(path, existing, python=python, choice=choice, actions=actions)
    python = demanded or find_python.find("auto", minimum)
    check_possible(choice, python)
    choice = _with_uv(choice, options, python, index, actions, check_mode)
    check_possible(choice, python)
    replaced = _registered(path)
    others = venv_others.lost(path) if existing.state == "unsuitable" else []
    anew = "" if existing.state == "absent" else " anew"
    actions.append(
        f"make the virtual environment {path}{anew} of {python.executable} ({python.version}) with {choice.name}"
    )
    if not check_mode:
        created = create(path, python, choice, options["timeout"])
        python = python._replace(version=created.version, base=created.base)
    return EnsuredVenv(path, existing, python=python, choice=choice, actions=actions, replaced=replaced, others=others)


def _registered(path: str) -> dict[str, str]:
    """Name → version of what is in an environment, as its metadata is named: what reads more would cost each run."""
    infos = glob.glob(os.path.join(glob.escape(path), "lib", "python*", "site-packages", "*-*.dist-info"))
    names = [os.path.basename(info)[: -len(".dist-info")].partition("-") for info in sorted(infos)]
    return {canonical(name): version for name, dummy, version in names}


def _with_uv(
    choice: InstallerChoice,
    options: Options,
    python: Interpreter,
    index: Index,
    actions: list[str],
    check_mode: bool,
) -> InstallerChoice:
    """Fetch uv if I(choice) says so, and note that in I(actions); returns the tool that there is then."""
    if not choice.fetch:
        return choice
    if not check_mode:
        choice = fetch_uv.obtain(choice, options["installer"], options["tools"], python, index, options["timeout"])
    if choice.name == "uv":
        actions.append(f"fetch uv to {choice.uv}")
    return choice


def _add_pip(choice: InstallerChoice, options: Options, python: Interpreter, check_mode: bool) -> None:
    if not check_mode:
        add_pip(python, options["timeout"])
    elif not python.ensurepip:
        check_possible(choice, python)


def examine(path: str, minimum: str, python: Interpreter | None) -> ExistingVenv:
    """Find out what is at I(path).

    :param minimum: the oldest version of Python that will do, such as C(3.11).
    :param python: the interpreter it has to be of; None when any will do.
    :raises InputError: something that is not a venv is there.
    """
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return ExistingVenv("absent")
    except NotADirectoryError:
        names = [""]
    if not names:
        return ExistingVenv("absent")
    if UNFINISHED in names:
        return ExistingVenv("unfinished")
    if "pyvenv.cfg" not in names:
        raise InputError(
            f"{path} exists and is not a virtual environment.",
            untouched="everything, that directory included.",
            advice="Choose another path, or move away what is there.",
        )
    try:
        own = interpreter.probe(interpreter.in_venv(path))
    except InstallerError as error:
        return ExistingVenv("unsuitable", reason=f"its interpreter does not work: {error.what.strip().rstrip('.')}")
    if moved_from(path):
        return ExistingVenv(
            "unsuitable", own, reason=f"it was made for {moved_from(path)}, and its commands name that path"
        )
    if not find_python.at_least(own.version, minimum):
        return ExistingVenv(
            "unsuitable", own, reason=f"it is of Python {own.version}, and {minimum} or newer is needed"
        )
    if python is not None and (own.base, own.version) != (python.base, python.version):
        if os.path.abspath(python.executable) != os.path.abspath(own.executable):
            return ExistingVenv(
                "unsuitable",
                own,
                reason=f"it is of {own.base} ({own.version}), not of {python.base} ({python.version})",
            )
    return ExistingVenv("good", own)


def check_possible(choice: InstallerChoice, python: Interpreter) -> None:
    """:raises InputError: pip has to make the venv and the interpreter lacks what that takes."""
    if choice.name == "pip" and not python.ensurepip:
        reason = f" ({choice.reason})" if choice.reason else ""
        raise InputError(
            f"{python.executable} cannot make a virtual environment with pip: its module ensurepip is missing.",
            untouched="everything; no virtual environment was made.",
            advice=f"On Debian and Ubuntu install the package python{python.minor}-venv, elsewhere the one that has "
            f"`ensurepip`; or use `installer: uv`, which does without{reason}.",
        )


def create(path: str, python: Interpreter, choice: InstallerChoice, timeout: float) -> Interpreter:
    """Make a venv of I(python) at I(path), which is absent, empty or unfinished.

    Directories above it are made 0755: what is private in them is the record, which sees to that itself.

    :param timeout: seconds that the tool may take; 0 is no limit.
    :returns: the interpreter of the new venv.
    :raises InstallerError: it cannot be made; what was made of it is gone again.
    """
    above = os.path.dirname(path)
    made: list[str] = []
    while not os.path.lexists(above):
        made.append(above)
        above = os.path.dirname(above)
    fresh = not os.path.lexists(path)
    try:
        for directory in reversed(made):
            os.mkdir(directory, 0o755)
        if fresh:
            os.mkdir(path)
        else:
            clear(path)
        with open(os.path.join(path, UNFINISHED), "x", encoding="utf-8"):
            pass
        if choice.name == "uv":
            argv = [choice.uv, "venv", "--quiet", "--no-config", "--no-project", "--no-cache", "--allow-existing"]
            argv += ["--no-python-downloads", "--python", python.executable, path]
        else:
            argv = [python.executable, "-I", "-m", "venv", path]
        command.checked(argv, timeout=timeout, untouched="everything; what was made of the venv was removed.")
        python_in_venv = interpreter.probe(interpreter.in_venv(path))
        if choice.name == "uv":
            # uv makes it when it first looks into the environment, even in a dry run, which is to write nothing.
            with open(os.path.join(path, ".lock"), "a", encoding="utf-8"):
                pass
        os.unlink(os.path.join(path, UNFINISHED))
    except BaseException:
        clear(path)
        for directory in ([path] if fresh else []) + made:
            try:
                os.rmdir(directory)
            except OSError:
                break
        raise
    return python_in_venv


def clear(path: str) -> None:
    """Remove everything in I(path), the marker of an unfinished venv last."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    for name in sorted(names, key=lambda name: name == UNFINISHED):
        below = os.path.join(path, name)
        if os.path.isdir(below) and not os.path.islink(below):
            shutil.rmtree(below)
        else:
            os.unlink(below)


def add_pip(python: Interpreter, timeout: float) -> None:
    """Put pip into a venv that was made without.

    :param python: the venv's.
    :param timeout: seconds that it may take; 0 is no limit.
    :raises InputError: the interpreter has no ensurepip.
    :raises InstallerError: ensurepip failed.
    """
    if not python.ensurepip:
        check_possible(InstallerChoice("pip"), python)
    command.checked(
        [python.executable, "-I", "-m", "ensurepip", "--default-pip"],
        timeout=timeout,
        advice="Use `installer: uv`, which needs no pip in the virtual environment.",
    )
