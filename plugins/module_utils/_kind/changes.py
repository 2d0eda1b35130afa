"""What a package manager is going to do to packages, as a capture records it, by the names people know."""

from __future__ import annotations

import collections
import shlex
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import PackageChange


def named(changes: t.Iterable[PackageChange]) -> list[tuple[str, PackageChange]]:
    """Each change with its package's name, and its architecture where several have that name; sorted.

    What dnf would also take away if it were asked to is left out: Ansible's module does not ask.
    """
    certain = [change for change in changes if not change.get("optional")]
    many = collections.Counter(change["name"] for change in certain)
    pairs = [(_label(change, many[change["name"]] > 1), change) for change in certain]
    return sorted(pairs, key=lambda pair: (pair[1]["name"], pair[1].get("arch") or ""))


def _label(change: PackageChange, with_arch: bool) -> str:
    return f"{change['name']}:{change['arch']}" if with_arch and change.get("arch") else change["name"]


def listed(changes: t.Iterable[PackageChange]) -> list[str]:
    """Changes as C([-] name version) and C([+] name version), by name."""
    lines = []
    for name, change in named(changes):
        lines += [f"[-] {name} {change['before']}"] if change.get("before") else []
        lines += [f"[+] {name} {change['after']}"] if change.get("after") else []
    return lines


def by_hand(captures: t.Iterable[tuple[str, t.Iterable[str]]]) -> list[str]:
    """What people can do of P(_kind.interface.Kind.by_hand), newest capture first.

    :param captures: oldest first: the directory of the content, and the commands.
    """
    every = [
        command.replace("{where}", shlex.quote(directory))
        for directory, commands in reversed(list(captures))
        for command in commands
    ]
    # A terminal is not to be told what is no text.
    return [command for command in every if command.isprintable()]


def introduced(commands: t.Sequence[str]) -> list[str]:
    """The same, with what they do not do; nothing without any."""
    if not commands:
        return []
    head = "Where that cannot be: as root, these get the versions back, though not marks, replaced configuration,"
    return [f"{head} or what scripts did:", *(f"  {command}" for command in commands)]
