"""What a rollback returns, as sage_rollback documents it."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import PLAN_KEYS

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.targets import ResolvedTarget
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import Certainty, RollbackResult


def nothing(text: str, target: str, inexact: t.Sequence[str] = ()) -> RollbackResult:
    """Of a rollback with nothing to do."""
    plan: dict[str, list[str]] = {key: [] for key in PLAN_KEYS}
    return {
        "changed": False,
        "msg": text,
        "target": target,
        "plan": plan,
        "conflicts": [],
        "kept": [],
        "inexact": [*inexact],
        "undone": [],
        "redo_point": None,
        "exact": not inexact,
        "diff": {"before": {}, "after": {}},
    }


def planned(chosen: ResolvedTarget, undos: t.Sequence[Undo], target: str) -> RollbackResult:
    """Of one that is computed, and then is carried out or only shown."""
    plan = {key: [line for undo in undos for line in undo.plan[key]] for key in PLAN_KEYS}
    return {
        "changed": True,
        "msg": _headline(plan, chosen),
        "target": target,
        "plan": plan,
        "conflicts": [line for undo in undos for line in undo.conflicts],
        "kept": [line for undo in undos for line in undo.kept],
        **certain(undos, chosen),
        "undone": [point["point"] for point in reversed(chosen.points)],
        "redo_point": None,
        "diff": {
            "before": {"erase": plan["erase"], "remove": plan["remove"]},
            "after": {"install": plan["install"], "restore": plan["restore"]},
        },
    }


def _headline(plan: t.Mapping[str, t.Sequence[str]], chosen: ResolvedTarget) -> str:
    """What is done, in one line; as RPM wrote it where it is about packages."""
    # In the host's own time, as RPM writes it.
    when = f"{dt.datetime.fromisoformat(chosen.time).astimezone().ctime()} ({chosen.tid})"
    if plan["install"] or plan["erase"]:
        return f"Rollback packages (+{len(plan['install'])}/-{len(plan['erase'])}) to {when}"
    if plan["restore"] or plan["remove"]:
        return f"Rollback files ({len(plan['restore'])} restored, {len(plan['remove'])} removed) to {when}"
    return f"Nothing to undo: everything is as it was at {when}"


def certain(undos: t.Sequence[Undo], chosen: ResolvedTarget) -> Certainty:
    """Whether all is as it was; what nobody captured or packages' own scripts did elsewhere is not claimed."""
    inexact = list(dict.fromkeys([*chosen.uncovered, *(line for undo in undos for line in undo.inexact)]))
    return {"inexact": inexact, "exact": not inexact}


def refused(result: RollbackResult) -> ConflictError:
    """Of one that cannot be carried out."""
    conflicts = result["conflicts"]
    return ConflictError(
        f"Somebody changed what the rollback would overwrite: {'; '.join(conflicts)}.",
        untouched="everything.",
        advice="Save what you need. Then roll back with force=true, which takes the captured side and keeps "
        "edited files aside, or undo those changes.",
        conflicts=conflicts,
        plan=result["plan"],
    )
