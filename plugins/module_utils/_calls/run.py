"""What every module begins with: its options, and the one place where errors become C(fail_json)."""

from __future__ import annotations

import os
import re
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_owned

Spec = dict[str, t.Any]
_SURROGATE = re.compile("[\ud800-\udfff]")


class ArgumentSpec(t.NamedTuple):
    """What a module accepts; M(merge) puts shared options in.

    :ivar options: C(argument_spec) of AnsibleModule.
    :ivar rules: C(required_if), C(mutually_exclusive) and their like.
    :ivar places: options that name what the call keeps or runs its own in: nobody else may be able to replace that.
    :ivar always: what every result tells besides, that of a call that failed included; gets the options.
    """

    options: Spec
    rules: Spec = {}
    places: tuple[str, ...] = ()
    always: t.Callable[[t.Mapping[str, t.Any]], t.Mapping[str, object]] | None = None

    def merge(self, *others: ArgumentSpec) -> ArgumentSpec:
        """This specification and the others as one."""
        options, rules, places, always = dict(self.options), dict(self.rules), self.places, self.always
        for other in others:
            options.update(other.options)
            for name, conditions in other.rules.items():
                rules[name] = [*rules.get(name, []), *conditions]
            places += other.places
            always = other.always or always
        return ArgumentSpec(options, rules, places=places, always=always)

    def create_module(self, supports_check_mode: bool = True) -> AnsibleModule:
        """The AnsibleModule, arguments parsed and validated."""
        return AnsibleModule(argument_spec=self.options, supports_check_mode=supports_check_mode, **self.rules)


# The fleet run that a host prepares for.
RUN_OPTIONS: Spec = {
    "run": {"type": "str", "required": True},
    "decision_log": {"type": "str", "required": True},
    "where": {"type": "str", "default": ""},
}


def run(spec: ArgumentSpec, work: t.Callable[[AnsibleModule], t.Mapping[str, object]]) -> None:
    """Create the module, check whose its places are, do the work, exit with its result.

    :param work: gets the module, returns the result for C(exit_json).
    """
    # What installers and git make is nobody else's to write, whatever the umask of the user or of sshd is.
    os.umask(os.umask(0o077) | 0o022)
    module = spec.create_module()
    try:
        check_places(spec, module.params)
        result = work(module)
    except SageError as error:
        module.fail_json(msg=printable(str(error)), error=printable(error.as_dict()), **_always(spec, module.params))
    except (OSError, RecursionError, UnicodeEncodeError) as error:
        what, advice = f"The operating system refused: {error}", "mend that and run again"
        if isinstance(error, RecursionError):
            # Whatever reads it knows a broken file for one; this is what only follows from it.
            what, advice = "A lock file or the record is nested too deeply to work with", "restore it from a copy"
        elif isinstance(error, UnicodeEncodeError):
            what = f"This Python names files in {error.encoding}, and cannot name {ascii(error.object)[:200]}"
            advice = "set PYTHONUTF8 to 1 in the environment of the task, for the role in sage_environment"
        module.fail_json(
            msg=printable(f"{what}. What to do: {advice}."),
            error=printable({"kind": type(error).__name__, "what": what}),
            exception=printable(traceback.format_exc()),
            **_always(spec, module.params),
        )
    module.exit_json(**printable(result), **_always(spec, module.params))


def _always(spec: ArgumentSpec, options: t.Mapping[str, object]) -> t.Mapping[str, object]:
    return spec.always(options) if spec.always is not None else {}


def check_places(spec: ArgumentSpec, options: t.Mapping[str, object]) -> None:
    """The gate that every call passes before it looks at anything, whether it is going to write or not.

    :raises UnsafePath: somebody else could replace one of the places that the options name.
    """
    for name in spec.places:
        if options.get(name):
            check_owned(str(options[name]))


def printable(content: t.Any) -> t.Any:
    """The same, with bytes of file names that are no text written out, as C(\\xff): a result has to be text."""
    if isinstance(content, str):
        return content if content.isascii() else _SURROGATE.sub(_written_out, content)
    if isinstance(content, t.Mapping):
        return {printable(name): printable(inner) for name, inner in content.items()}
    return [printable(inner) for inner in content] if isinstance(content, (list, tuple)) else content


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else f"\\u{number:04x}"
