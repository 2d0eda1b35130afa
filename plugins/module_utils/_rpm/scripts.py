"""Scripts in packages of rpm: what they do elsewhere is what nobody can promise to undo."""

from __future__ import annotations

import typing as t

_SCRIPTS = {
    "pre": "PREIN",
    "post": "POSTIN",
    "preun": "PREUN",
    "postun": "POSTUN",
    "pretrans": "PRETRANS",
    "posttrans": "POSTTRANS",
    "preuntrans": "PREUNTRANS",
    "postuntrans": "POSTUNTRANS",
}
_TRIGGERS = {
    "triggers": "TRIGGERNAME",
    "file triggers": "FILETRIGGERNAME",
    "transaction file triggers": "TRANSFILETRIGGERNAME",
}
# Programs that, run without a script, make nothing that is not made again.
_HARMLESS = ("/sbin/ldconfig", "/usr/sbin/ldconfig")


def _tag(header: t.Any, name: str) -> t.Any:
    try:
        return header[name]
    except (ValueError, KeyError):
        # An older rpm than the tag.
        return None


def _scripts(header: t.Any) -> list[str]:
    found = []
    for script, tag in _SCRIPTS.items():
        program = _tag(header, f"{tag}PROG")
        words = [program] if isinstance(program, str) else list(program or [])
        body = _tag(header, tag)
        if body or (words and words[0] not in _HARMLESS):
            found.append(f"%{script}")
    return found


def inexact(header: t.Any) -> list[str]:
    """Why an undo of what happens to a package cannot be promised to be exact, for people."""
    scripts = _scripts(header)
    reasons = [f"its {', '.join(scripts)} may change more than its files"] if scripts else []
    for what, tag in _TRIGGERS.items():
        if _tag(header, tag):
            reasons.append(f"its {what} may change more than its files")
    return reasons
