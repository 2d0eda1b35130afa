"""Named paths in C(rollback.sh)."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    escape,
    joined,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer


_FUNCTIONS = r"""# --- Files, links and directories ---

# For each captured path: sets path, id, take and except, takes up its capture, and calls $1.
each_path() {
    work=$1
    for one_path in $captured_paths; do
        IFS=' '
        # shellcheck disable=SC2086  # "id number path except…"
        set -- $one_path
        IFS=$nl
        load "$1"
        content=$content/$2
        path_encoded=$3
        decode "$3"
        path=$decoded
        take=" $3 "
        shift 3
        except=$*
        parent=${path%/*}
        hidden=$parent/.sage-aside-${path##*/}
        # The module clears this name too.
        stage=$hidden
        wanted=$(choose "$take")
        [ -z "$except" ] || wanted=$(files_without "$wanted")
        "$work"
    done
}

# Prints those of the lines $1 whose name (the last field) is not decided by an older capture.
files_without() {
    for line in $1; do
        name=${line##* }
        full=$path_encoded/$name
        [ "$name" != . ] || full=$path_encoded
        for one in $except; do
            case $full in
            "$one" | "$one"/*) continue 2 ;;
            esac
        done
        printf '%s\n' "$line"
    done
}

files_check() {
    for id in $layers; do
        check_layer "$id"
    done
    each_path files_check_path
}

files_check_path() {
    trusted_above "$path"
    check_items "$wanted" "$content"
    for line in $(of_type d "$wanted"); do
        split "$line"
        case ,$xattrs in
        *,user.* | *,system.posix_acl*) ;;
        *) continue ;;
        esac
        # The coreutils have nothing to set these with.
        place "$path"
        [ -d "$file" ] && [ ! -L "$file" ] ||
            refuse "the directory $file had extended attributes, and has to be made anew." \
                'Roll back with intellistream.sage.sage_rollback.'
    done
}

# Sets extra: names that were not there; differ: items that are not as captured.
files_compute() {
    differ=$(unlike "$path" "$wanted" '')
    extra=
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        extra=$(walk "$path" .)
        extra=$(for one in $extra; do printf '%s\n' "${one#* }"; done | sort -u)
        extra=$(without "$extra" "$(names_of "$wanted")")
        [ -z "$except" ] || extra=$(files_without "$extra")
    fi
}

files_plan() { each_path files_plan_path; }

files_plan_path() {
    files_compute
    for line in $differ; do
        split "$line"
        place "$path"
        full=$path_encoded/$name
        [ "$name" != . ] || full=$path_encoded
        if [ "$type" = a ]; then
            plan_remove="$plan_remove$full (was absent)$nl"
        elif exists "$file"; then
            plan_restore="$plan_restore$full (differs)$nl"
        else
            plan_restore="$plan_restore$full (is absent)$nl"
        fi
    done
    for one in $extra; do
        plan_remove="$plan_remove$path_encoded/$one (is new)$nl"
    done
    for one in "$hidden" "$parent/.sage-undo.tmp" "$parent/.sage-flush.tmp"; do
        if exists "$one"; then
            encode "$one"
            case "$nl$plan_remove" in
            *"$nl$encoded$nl"*) ;;
            *) plan_remove=$plan_remove$encoded$nl ;;
            esac
        fi
    done
}

files_execute() { each_path files_execute_path; }

files_execute_path() {
    files_compute
    rm -rf -- "$hidden"
    rm -f -- "$parent/.sage-undo.tmp" "$parent/.sage-flush.tmp"
    # What is of another kind than captured makes room first.
    in_the_way='' behind=/
    for line in $differ; do
        split "$line"
        case $name in
        "$behind"/*) continue ;;
        esac
        place "$path"
        exists "$file" || continue
        if [ "$type" = d ]; then
            [ -L "$file" ] || [ ! -d "$file" ] || continue
            # What is below a link is not ours.
            behind=$name
        elif [ "$type" != a ]; then
            [ -d "$file" ] && [ ! -L "$file" ] || continue
        fi
        if [ "$name" = . ]; then
            mv -T -- "$path" "$hidden" && rm -rf -- "$hidden" || fail "$path could not be removed."
            break
        fi
        in_the_way=$in_the_way$name$nl
    done
    files_writable
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        remove_trees "$path" "$(printf '%s\n' "$in_the_way" "$extra" | sort)"
    fi
    differ=$(unlike "$path" "$wanted" '')
    [ -z "$(of_type f "$differ")$(of_type l "$differ")$(of_type d "$differ")" ] || mkdir -p -- "$parent" ||
        fail "$parent could not be made."
    for line in $(of_type d "$differ"); do
        split "$line"
        place "$path"
        [ -d "$file" ] || mkdir -- "$file" || fail "$file could not be made."
    done
    files_writable
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        put "$content" "$path" "$differ" "$stage"
    else
        for line in $differ; do
            files_put_one "$line"
        done
    fi
    # A directory's time and mode last: filling it changes the one and may need the other.
    for line in $(of_type d "$wanted" | sort -r -t ' ' -k 11); do
        [ "${line##* }" = . ] || files_dress "$line"
    done
    for line in $(of_type d "$wanted"); do
        [ "${line##* }" != . ] || files_dress "$line"
    done
}

files_dress() {
    split "$1"
    place "$path"
    seconds "$mtime"
    [ "$(stat -c '%04a %u %g %.9Y' -- "$file")" = "$mode $uid $gid $instant" ] || dress "$file"
}

# The captured path itself, when it is a file or a link.
files_put_one() {
    split "$1"
    case $type in
    l) put_link "$path" ;;
    f)
        cp -a -- "$content" "$stage" && mv -fT -- "$stage" "$path" || fail "$path could not be put in place."
        dress "$path"
        ;;
    esac
}

# Directories may have been made read-only.
files_writable() {
    for line in $(of_type d "$wanted"); do
        split "$line"
        place "$path"
        if [ -d "$file" ] && [ ! -L "$file" ] && { [ ! -w "$file" ] || [ ! -x "$file" ]; }; then
            chmod u+rwx -- "$file"
        fi
    done
}

files_verify() { each_path files_verify_path; }

files_verify_path() {
    files_compute
    for line in $differ $extra; do
        printf '%s\n' "$path_encoded/${line##* } differs from what was captured"
    done
}

"""


class FilesScript(Script):
    """Named files, links and directories."""

    functions = _FUNCTIONS

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        chosen: list[tuple[ScriptCapture, int, str]] = []
        for capture in captures:
            paths = capture.spec.get("paths") or [capture.spec["path"]]
            for number, path in enumerate(sorted({os.path.normpath(path) for path in paths})):
                if path in capture.untouched:
                    continue
                # Inside something an older capture holds: that one decides.
                if not any(_inside(path, older) for dummy, dummy2, older in chosen):
                    chosen.append((capture, number, path))
        work = []
        # Newest first: what an older capture holds inside a newer one's directory comes after it.
        for position, (capture, number, path) in reversed(list(enumerate(chosen))):
            later = [older for dummy, dummy2, older in chosen[:position] if _inside(older, path)]
            work.append(b" ".join((b"%d %d" % (capture.number, number), *map(escape, (path, *later)))))
        return ScriptLines({"captured_paths": joined(work)})

    def untouched(self, layer: Layer) -> list[str]:
        if layer.after is None or layer.items is None:
            return []
        paths = []
        for section in layer.items.sections:
            captured = {path: listing.brief_of(item) for path, item in layer.items.read(section)}
            if captured == layer.after["paths"].get(section.name):
                paths.append(section.name)
        return paths


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")
