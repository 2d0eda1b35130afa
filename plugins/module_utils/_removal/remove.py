"""Remove SAGE from a host: what an installation brought, then the record.

The record goes last, so a removal that was interrupted anywhere is finished by running it again.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import OthersLost
from ansible_collections.intellistream.sage.plugins.module_utils._base.sizes import Sizes, on_disk
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import stop
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import IGNORE, open_state
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import places
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.release import release
from ansible_collections.intellistream.sage.plugins.module_utils._removal.plan import look

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import OthersThing, Part
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
    from ansible_collections.intellistream.sage.plugins.module_utils._removal.plan import Plan
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RemovalResult

# Of what others have put there, in a message; the result names all.
_MOST_NAMES = 5


def remove(engine: Engine, keep_record: bool, check_mode: bool, remove_others: bool = False) -> RemovalResult:
    """Remove SAGE.

    :param keep_record: leave the record.
    :param remove_others: also what others have put into what goes.
    :raises OthersLost: something of others would go, and that was not said; nothing was removed.
    :raises SageError: something has to be ended first, or is not safe to touch.
    """
    if check_mode:
        engine.refuse_others(ends=False)
        state = open_state(engine.root, engine.checkpoint_dir)
        try:
            plan = look(engine, state, keep_record)
            _refuse_to_lose(plan, remove_others)
            return _result(plan, [])
        finally:
            if state is not None:
                state.close()
    with engine.locked() as state:
        plan = look(engine, state, keep_record)
        _refuse_to_lose(plan, remove_others)
        # What is gone has no size.
        result = _result(plan, [])
        try:
            _remove_parts(plan)
            result["warnings"] = _remove_record(engine, state, plan)
        except OSError as error:
            raise storage_error(error.filename if isinstance(error.filename, str) else engine.root, error) from error
    if not keep_record:
        engine.sweep()
        try:
            for part in plan.around:
                _unmake(part.path)
        except OSError as error:
            raise storage_error(engine.root, error) from error
    return result


def _remove_parts(plan: Plan) -> None:
    """All but the record."""
    for file in plan.hook:
        places.put(file)
    if plan.mark is not None:
        stop.stop(plan.mark)
    for waiting in plan.waiting:
        waiting.stop()
    for part in plan.parts:
        whole.take_away(part.path)


def _remove_record(engine: Engine, state: PrivateDir | None, plan: Plan) -> list[str]:
    """The record, or where it stays what of a switch is in it.

    :returns: what was not released, a sentence each.
    """
    if state is None:
        return []
    if not plan.forgets:
        if plan.mark is not None:
            state.remove(deadman_switch_mark.NAME)
            state.remove(deadman_switch_mark.PROGRAM)
        return []
    # Before the mark goes, which tells that it was made.
    for part in plan.around:
        if os.path.basename(part.path) == IGNORE:
            _unmake(part.path)
    warnings = [warning for point in plan.points if not point.get("pruned") for warning in release(state, point)]
    engine.forget(state)
    return warnings


def _unmake(path: str) -> None:
    """Remove a file, or a directory if it is empty; what is not there needs nothing."""
    above = Tree.open(os.path.dirname(path), follow=True)
    if above is None:
        return
    with above:
        name = os.path.basename(path)
        if above.is_directory(name):
            above.rmdir(name)
        elif name == IGNORE:
            above.unlink(name)
        os.fsync(above.fd)


def _result(plan: Plan, warnings: list[str]) -> RemovalResult:
    """The result of the module, as long as everything is there."""
    going = plan.going
    sizes = Sizes()
    return {
        "changed": bool(going),
        "removed": [
            {"path": part.path, "description": part.description, "bytes": _size(part, sizes)} for part in going
        ],
        "stays": [{"path": part.path, "description": part.description, "reason": part.stays} for part in plan.staying],
        "others": [{"path": each.path, "description": each.description} for each in plan.others],
        "unknown": plan.unknown,
        "alternative": plan.alternative or None,
        "warnings": warnings,
        "diff": {"before": {"paths": [part.path for part in going]}, "after": {"paths": []}},
    }


def _refuse_to_lose(plan: Plan, remove_others: bool) -> None:
    """Nothing that somebody else has put there goes unless that was said.

    :raises OthersLost: something would.
    """
    if remove_others or not plan.others:
        return
    result = _result(plan, [])
    where = ", ".join(part.path for part in plan.going if part.others)
    count = len(plan.others)
    raise OthersLost(
        f"With {where} would be lost what others have put there: {_first(plan.others)}.",
        untouched="everything.",
        advice=f"Save what is still needed, and then remove SAGE with -e sage_remove_others=true (of the module: "
        f"remove_others), which removes {'this' if count == 1 else f'these {count}'} as well.",
        others=result["others"],
        plan={"removed": result["removed"], "stays": result["stays"]},
    )


def _first(others: t.Sequence[OthersThing]) -> str:
    more = f", and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    return ", ".join(f"{each.path} ({each.description})" for each in others[:_MOST_NAMES]) + more


def _size(part: Part, sizes: Sizes) -> int:
    """Bytes that it occupies, without what is counted already. Nothing is followed."""
    size = 0
    for top in whole.remains(part.path):
        paths = [top]
        for directory, directories, files in os.walk(top):
            paths += [os.path.join(directory, name) for name in [*directories, *files]]
        for path in paths:
            try:
                info = os.lstat(path)
            except OSError:
                continue
            size += sizes.add(info.st_dev, info.st_ino, on_disk(info))
    return size
