"""Run child processes of the installers, and say plainly what went wrong when one fails."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text

# Variables of the caller's shell that would send an installer to another environment.
_FOREIGN = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_PYTHON",
    "PIP_REPORT",
    "PIP_DRY_RUN",
    "PIP_REQUIREMENT",
    "PIP_NO_DEPS",
    "PIP_REQUIRE_VIRTUALENV",
    "UV_PYTHON",
    "UV_TARGET",
    "UV_SYSTEM_PYTHON",
    "UV_PROJECT_ENVIRONMENT",
    "UV_VENV_SEED",
    "UV_VENV_CLEAR",
)
_LAST_LINES = 15
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class CommandOutcome(t.NamedTuple):
    """How a child process ended.

    :ivar command: its arguments as a shell would take them, without credentials.
    :ivar rc: its exit status; negative for the signal that killed it.
    :ivar stdout: all that it printed.
    :ivar stderr: the same of its errors.
    """

    command: str
    rc: int
    stdout: str
    stderr: str

    def last_lines(self) -> list[str]:
        """The last lines it printed, errors last, without credentials."""
        lines = [line.rstrip() for text in (self.stdout, self.stderr) for line in text.splitlines() if line.strip()]
        return [redact_text(line) for line in lines[-_LAST_LINES:]]


def environment(extra: t.Mapping[str, str] | None = None, without: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment for a child: the caller's, without what points elsewhere, and with I(extra).

    :param without: prefixes of more names to leave out.
    """
    env = {key: text for key, text in os.environ.items() if key not in _FOREIGN and not key.startswith(without)}
    env.update(LC_ALL="C.UTF-8", NO_COLOR="1", PYTHONUNBUFFERED="1")
    env.update(extra or {})
    return env


def _dies_with_its_parent() -> t.Callable[[], object] | None:
    """What makes a child end when the module is killed: else a rollback would meet a live installer."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    libc = ctypes.CDLL(None)  # loaded here, since little is safe between fork and exec
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Child(subprocess.Popen[bytes]):
    """A child in a session of its own, so that ending it ends what it has started, compilers for instance."""

    def __init__(self, argv: t.Sequence[str], env: t.Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        options: dict[str, t.Any] = {"preexec_fn": _dies_with_its_parent()}
        super().__init__(
            list(argv), stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), cwd="/", start_new_session=True, **options
        )

    def end(self) -> None:
        """Kill it and everything in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.communicate()


class _Detached(subprocess.Popen[bytes]):
    """A child in a session of its own that outlives this process."""

    def __init__(self, argv: t.Sequence[str], env: t.Mapping[str, str]) -> None:
        null = subprocess.DEVNULL
        super().__init__(
            list(argv), stdin=null, stdout=null, stderr=null, env=dict(env), cwd="/", start_new_session=True
        )
        # Nobody is going to ask how it ended.
        self.returncode = 0


def run(
    argv: t.Sequence[str],
    *,
    env: t.Mapping[str, str] | None = None,
    timeout: float = 0,
    stdin: str = "",
    without: tuple[str, ...] = (),
) -> CommandOutcome:
    """Run I(argv) with C(/) as its directory, so that no project file of the caller's directory is picked up.

    :param env: added to the cleaned environment of the caller.
    :param timeout: seconds; 0 for no limit.
    :param stdin: what the child reads.
    :param without: prefixes of variables of the caller to leave out.
    :raises InstallerError: it cannot be started, or took longer than I(timeout).
    """
    command = redact_text(" ".join(shlex.quote(part) for part in argv))
    try:
        child = _Child(argv, environment(env, without))
    except OSError as error:
        raise InstallerError(
            f"Cannot start `{command}`: {error.strerror or error}.", command=command, rc=None
        ) from error
    try:
        out, err = child.communicate(stdin.encode(), timeout=timeout or None)
    except subprocess.TimeoutExpired as error:
        child.end()
        raise InstallerError(
            f"`{command}` did not finish within {timeout:g} seconds and was ended.",
            advice="Give it more time with `timeout`, or find out why the index answers so slowly.",
            command=command,
            rc=None,
        ) from error
    except BaseException:
        child.end()
        raise
    return CommandOutcome(
        command, child.returncode, stdout=out.decode(errors="replace"), stderr=err.decode(errors="replace")
    )


def detached(argv: t.Sequence[str], env: t.Mapping[str, str]) -> int:
    """Start I(argv) in a session of its own and leave it; returns its process id.

    :param env: all of its environment.
    :raises InstallerError: it cannot be started.
    """
    try:
        return _Detached(argv, env).pid
    except OSError as error:
        raise InstallerError(f"Cannot start `{argv[0]}`: {error.strerror or error}.", rc=None) from error


def failed(outcome: CommandOutcome, *, untouched: str = "", advice: str = "") -> InstallerError:
    """The error for a child that exited with something else than 0.

    :param untouched: what was left as it was.
    :param advice: what the user can do about it.
    """
    lines = outcome.last_lines()
    ending = f"exited with {outcome.rc}" if outcome.rc >= 0 else f"was killed by signal {-outcome.rc}"
    output = "\n".join(lines) if lines else "(it printed nothing)"
    return InstallerError(
        f"`{outcome.command}` {ending}. It said last:\n{output}\n--",
        untouched=untouched,
        advice=advice,
        command=outcome.command,
        rc=outcome.rc,
        output=lines,
    )


def checked(
    argv: t.Sequence[str],
    *,
    env: t.Mapping[str, str] | None = None,
    timeout: float = 0,
    stdin: str = "",
    untouched: str = "",
    advice: str = "",
    without: tuple[str, ...] = (),
) -> CommandOutcome:
    """As M(run), and any exit status other than 0 is an error.

    :param untouched: what was left as it was, for that error.
    :param advice: what the user can do about it, for that error.
    :param without: as for M(run).
    :raises InstallerError: with the command, its exit status and its last lines.
    """
    outcome = run(argv, env=env, timeout=timeout, stdin=stdin, without=without)
    if outcome.rc != 0:
        raise failed(outcome, untouched=untouched, advice=advice)
    return outcome
