"""C(rollback.sh): paths that changes touched, by the same three-way merge as M(_footprint.decide).

What will be done stands in the script as a list, C(touched), one line a path: the captured path that it lies in, the
path, where in the store its content is, what it was before the first change (facts, hash, target), and what the last
one left (the same). Facts are C(mode:owner:group:size:time), the mode with the type as stat's C(%f) has it, in hex;
C(-) where nothing was, C(?) where nobody looked.
"""

from __future__ import annotations

import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    SOCKET,
    escape,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow

_TYPES = {
    FILE: stat.S_IFREG,
    DIRECTORY: stat.S_IFDIR,
    LINK: stat.S_IFLNK,
    FIFO: stat.S_IFIFO,
    SOCKET: stat.S_IFSOCK,
    BLOCK: stat.S_IFBLK,
    CHARACTER: stat.S_IFCHR,
}
# No tool of the coreutils sets these.
_NEEDS_MODULE = ("user.", "trusted.", "system.posix_acl", "security.capability")

SHELL = r"""# --- Paths that changes touched ---

# Sets the fields of a line of the list, path and file.
take_up() {
    IFS=' '
    # shellcheck disable=SC2086  # fields hold no other white space, and set -f is on
    set -- $1
    IFS=$nl
    top_encoded=$1 path_encoded=$2 held=$3 before=$4 before_hash=$5 before_target=$6
    shift 6
    after=$1 after_hash=$2 after_target=$3
    decode "$path_encoded"
    file=$decoded
    reach
}

# Sets reached: whether no directory between the captured path and $file is a link, or missing.
reach() {
    directory=${file%/*}
    [ "$directory" != "$last_directory" ] || return 0
    last_directory=$directory
    reached=
    decode "$top_encoded"
    above=${decoded%/*}
    real=$(cd -P -- "${above:-/}" 2>/dev/null && pwd -P && echo x) || return 0
    wanted=${real%"$nl"x}
    [ "$wanted" != / ] || wanted=
    wanted=$wanted${directory#"$above"}
    real=$(cd -P -- "${directory:-/}" 2>/dev/null && pwd -P && echo x) || return 0
    real=${real%"$nl"x}
    [ "$real" != / ] || real=
    [ "$real" != "$wanted" ] || reached=1
}

# Sets now: facts of $file.
look() {
    now=-
    [ -n "$reached" ] || return 0
    now=$(stat -c '%f:%u:%g:%s:%.9Y' -- "$file" 2>/dev/null) || now=-
    case $now in
    - | 8*) ;;
    # Of all but files the size is the file system's business.
    *) now=${now%:*:*}:0:${now##*:} ;;
    esac
}

# Whether $file has the content with the facts $1, the hash $2 and the target $3.
has_content() {
    case $1 in
    8*)
        size=${1%:*}
        here=${now%:*}
        [ "${size##*:}" = "${here##*:}" ] && sum_of "$file" "$2"
        ;;
    a*)
        value=$3
        is_link "$file"
        ;;
    esac
}

# Whether $file is what it was before the changes.
is_before() {
    case $before in
    - | 4*) [ "${now%:*}" = "${before%:*}" ] ;;
    *) [ "$now" = "$before" ] && has_content "$before" "$before_hash" "$before_target" ;;
    esac
}

# Whether $file is what the changes left; content decides before any time does.
is_after() {
    [ "$after" != '?' ] || return 0
    [ "${now%:*}" = "${after%:*}" ] && has_content "$after" "$after_hash" "$after_target"
}

# Sets todo: lines that are not as before; conflicts; and the plan.
paths_judge() {
    todo='' going='' last_directory=
    for line in $touched; do
        take_up "$line"
        look
        ! is_before || continue
        case $before:$after:$now in
        # Of a directory's own mode and owner nothing was touched: what differs is somebody's.
        4*:4*:4*) [ "${before%:*}" != "${after%:*}" ] || continue ;;
        esac
        if ! is_after && ! { [ -n "$resumed" ] && [ "$now" = - ]; } && ! { [ -n "$resumed" ] && half_made; }; then
            conflicts="$conflicts$path_encoded was changed by somebody$nl"
            disputed="$disputed$path_encoded$nl"
        fi
        todo=$todo$line$nl
        [ "$before" != - ] || going=$going$path_encoded$nl
    done
    for line in $todo; do
        take_up "$line"
        look
        case $before:$now in
        4*:4* | *:- | *:[!4]*) continue ;;
        esac
        # A directory that goes, or becomes something else: what others have in it.
        for below in $(walk "$file" .); do
            decode "${below#* }"
            encode "$file/$decoded"
            case $nl$going in
            *"$nl$encoded$nl"*) continue ;;
            esac
            case $nl$strays in
            *"$nl$encoded$nl"*) continue ;;
            esac
            strays=$strays$encoded$nl
            conflicts="$conflicts$encoded was changed by somebody$nl"
        done
    done
    # What came where nobody looked when the change had ended.
    for line in $unsettled; do
        decode "$line"
        top=$decoded
        [ -d "$top" ] && [ ! -L "$top" ] || continue
        for below in $(walk "$top" .); do
            decode "${below#* }"
            encode "$top/$decoded"
            case $nl$known in
            *"$nl$encoded$nl"*) ;;
            *) todo="$todo$line $encoded - - - - ? - -$nl" ;;
            esac
        done
    done
}

# Whether an interrupted run may have left a directory like this.
half_made() {
    case $before:$now in
    4*:4*) return 0 ;;
    esac
    return 1
}

paths_check() {
    for id in $layers; do
        check_layer "$id"
    done
    for line in $tops; do
        decode "$line"
        trusted_above "$decoded"
    done
    known=
    for line in $touched; do
        IFS=' '
        # shellcheck disable=SC2086  # fields hold no other white space
        set -- $line
        IFS=$nl
        known=$known$2$nl
    done
    disputed='' strays=
    paths_judge
    conflicts=
    for line in $todo; do
        take_up "$line"
        case $before in
        8*)
            content=$store/$held
            [ "$held" != - ] && [ -f "$content" ] && [ ! -L "$content" ] && sum_of "$content" "$before_hash" ||
                refuse "the captured content of $path_encoded is not what was captured." "$restore_store"
            ;;
        c* | 6* | 2*) refuse "$path_encoded was a socket or a device." "$by_module" ;;
        esac
        case $nl$attributed in
        *"$nl$path_encoded$nl"*)
            refuse "$path_encoded had extended attributes, which nothing here can set." "$by_module"
            ;;
        esac
    done
}

paths_plan() {
    disputed='' strays=
    paths_judge
    for line in $todo; do
        take_up "$line"
        look
        if [ "$before" = - ]; then
            plan_remove="$plan_remove$path_encoded (is new)$nl"
        elif [ "$now" = - ]; then
            plan_restore="$plan_restore$path_encoded (is gone)$nl"
        else
            plan_restore="$plan_restore$path_encoded (differs)$nl"
        fi
    done
    for line in $strays; do
        plan_remove="$plan_remove$line (is new)$nl"
    done
}

# The lines of $1 from the last to the first.
reversed() {
    reverse=
    for line in $1; do
        reverse=$line$nl$reverse
    done
}

# Takes $file out of the way: what somebody changed is kept aside.
take_away() {
    case $nl$disputed$strays in
    *"$nl$path_encoded$nl"*)
        keep_aside / "${path_encoded#/}" "$aside"
        return
        ;;
    esac
    rm -f -- "$file" || fail "$path_encoded could not be removed."
}

paths_execute() {
    disputed='' strays=
    paths_judge
    for line in $strays; do
        path_encoded=$line
        decode "$line"
        file=$decoded
        if [ ! -d "$file" ] || [ -L "$file" ]; then
            take_away
        fi
    done
    reversed "$strays"
    for line in $reverse; do
        decode "$line"
        [ ! -d "$decoded" ] || [ -L "$decoded" ] || rmdir -- "$decoded" || fail "$line could not be removed."
    done
    # From the bottom: what goes, and what becomes something else.
    reversed "$todo"
    for line in $reverse; do
        take_up "$line"
        look
        case $before:$now in
        *:-) ;;
        4*:4*) ;;
        *:4*) rmdir -- "$file" || fail "$path_encoded could not be removed." ;;
        -:* | 4*:*) take_away ;;
        esac
    done
    last_directory=
    for line in $todo; do
        take_up "$line"
        case $before in
        4*)
            (umask 077 && mkdir -p -- "$file") || fail "$path_encoded could not be made."
            last_directory=
            chmod u+rwx -- "$file" 2>/dev/null
            ;;
        esac
    done
    for line in $todo; do
        take_up "$line"
        look
        case $before in
        - | 4*) ;;
        *)
            [ -n "$reached" ] || mkdir -p -- "${file%/*}" || fail "${path_encoded%/*} could not be made."
            put_path
            ;;
        esac
    done
    reversed "$todo"
    for line in $reverse; do
        take_up "$line"
        case $before in
        4*) give_metadata "$file" ;;
        esac
    done
    # Directories in which something was made or removed: their time, where nothing else is in them.
    reversed "$touched"
    for line in $reverse; do
        take_up "$line"
        look
        case $before:$now in
        4*:4*) touch -m -d "@${before##*:}" -- "$file" 2>/dev/null ;;
        esac
    done
}

# Puts what was no directory back to $file.
put_path() {
    staged=${file%/*}/.intellistream-sage.undo
    rm -f -- "$staged"
    case $before in
    8*) (umask 077 && cp -- "$store/$held" "$staged") || fail "$path_encoded could not be written." ;;
    a*)
        decode "$before_target"
        ln -s -- "$decoded" "$staged" || fail "$path_encoded could not be made."
        ;;
    1*) mkfifo -m 0600 -- "$staged" || fail "$path_encoded could not be made." ;;
    esac
    give_metadata "$staged"
    case $nl$disputed in
    *"$nl$path_encoded$nl"*) keep_aside / "${path_encoded#/}" "$aside" ;;
    esac
    mv -fT -- "$staged" "$file" || fail "$path_encoded could not be put in place."
}

# Gives $1 the owner, mode and time from before; verification names what stays different.
give_metadata() {
    IFS=:
    # shellcheck disable=SC2086  # five numbers
    set -- "$1" $before
    IFS=$nl
    [ "$(stat -c '%u:%g' -- "$1")" = "$3:$4" ] || chown -h "$3:$4" -- "$1" 2>/dev/null
    case $2 in
    a*) ;;
    *) chmod "$(printf '%o' "$((0x$2 & 07777))")" -- "$1" 2>/dev/null ;;
    esac
    touch -h -m -d "@$6" -- "$1" 2>/dev/null
}

paths_verify() {
    last_directory=
    for line in $touched $todo; do
        take_up "$line"
        look
        ! is_before || continue
        case $before:$after:$now in
        4*:4*:4*) [ "${before%:*}" != "${after%:*}" ] || continue ;;
        esac
        printf '%s\n' "$path_encoded differs from what was captured"
    done | sort -u
}

"""


def line(
    top: str, path: str, held: str, before: TableRow | None, after: TableRow | None, settled: bool = True
) -> bytes:
    """One line of the list.

    :param top: the captured path, absolute; P(path) is it, or lies below.
    :param held: where the content is, relative to the store; empty for none.
    :param settled: somebody looked when the change had ended.
    """
    words = [escape(top), escape(path), escape(held), *_words(before)]
    return b" ".join([*words, *(_words(after) if settled else (b"?", b"-", b"-"))])


def needs_module(row: TableRow | None) -> bool:
    """Whether what was there had attributes that a shell cannot give back."""
    return row is not None and any(name.startswith(_NEEDS_MODULE) for name in row.attributes.split(","))


def _words(row: TableRow | None) -> tuple[bytes, bytes, bytes]:
    if row is None:
        return b"-", b"-", b"-"
    seconds, nanoseconds = divmod(abs(row.mtime), 10**9)
    sign = "-" if row.mtime < 0 else ""
    facts = f"{_TYPES[row.type] | row.mode:x}:{row.uid}:{row.gid}:{row.size}:{sign}{seconds}.{nanoseconds:09d}"
    return facts.encode(), row.hash.encode() or b"-", escape(row.target)
