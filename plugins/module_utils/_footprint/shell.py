"""Paths that changes touched in C(rollback.sh): a list of them, and what reads it there.

It is the same three-way merge as M(_footprint.decide). The list tells what was at each path before the first change,
and what the last one left; its form stands above the functions. Of a change that was interrupted nobody knows what it
touched: the script finds that out by the table from before it.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, escape
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import joined

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import ScriptCapture

# No tool of the coreutils sets these.
_NEEDS_MODULE = ("user.", "trusted.", "system.posix_acl", "security.capability")
# Whose a path is that belongs to no distribution.
ITSELF, NOBODY, CODE = ".", "-", "~"

# Path of a top, path relative to it, what the changes did there → whose it is.
Owner = t.Callable[[str, str, "Touched"], str]


class ObservedTree(t.NamedTuple):
    """What a change did to one captured path.

    :ivar position: of the path in its capture.
    :ivar digest: SHA-256 of its table.
    :ivar began: when it was looked at for the table, nanoseconds since 1970.
    :ivar footprint: None where nobody looked when the change had ended.
    """

    path: str
    position: int
    digest: str
    began: int
    footprint: Footprint | None


def observed(layer: Layer) -> list[ObservedTree]:
    """What the script is told of one capture.

    :raises StoreError: what was noted is gone or was changed.
    """
    settled = (layer.after or {}).get("footprints") or {}
    digests = layer.manifest.get("tables") or {}
    if digests and set(digests) <= set(settled):
        return [
            ObservedTree(path, number, digests[path], footprint.before.began, footprint)
            for number, (path, footprint) in enumerate(point.touched(layer))
        ]
    return [
        ObservedTree(path, number, digests[path], table.began, None)
        for number, (path, table) in enumerate(point.tables(layer) if digests else ())
    ]


def variables(captures: t.Sequence[ScriptCapture], owner: Owner) -> dict[str, bytes]:
    """What the functions are told of captures, oldest first.

    :param owner: see P(Owner).
    """
    captured = [(capture, each) for capture in captures for each in capture.observed]
    paths = [each.path for dummy, each in captured]
    tops = [path for path in dict.fromkeys(paths) if not any(path.startswith(f"{other}/") for other in paths)]
    footprints: dict[str, list[Footprint]] = {top: [] for top in tops}
    unheld: dict[str, set[str]] = {top: set() for top in tops}
    unsettled: list[bytes] = []
    ended: set[str] = set()
    for capture, each in captured:
        top = next(name for name in tops if each.path == name or each.path.startswith(f"{name}/"))
        if each.footprint is not None and top not in ended:
            below = each.path[len(top) + 1 :]
            recorded = {path for footprint in footprints[top] for path in footprint.paths()}
            footprints[top].append(each.footprint.below(below))
            lost = {f"{below}/{path}".strip("/") for path in each.footprint.unheld}
            unheld[top] |= lost - recorded
        elif each.footprint is None:
            # What the table tells is older than what any later change found.
            ended.add(top)
            above = os.path.dirname(top)
            anchor = escape(above), escape(os.path.relpath(each.path, above))
            table = f"{each.position}.{point.BEFORE}", each.digest
            unsettled.append(b" ".join((b"%d" % capture.number, *map(str.encode, table), *anchor)))
    lines: list[bytes] = []
    for top in tops:
        lines += _listed(top, decide.merge(footprints[top]), unheld[top], owner, top not in ended)
    return {
        "tops": joined(map(escape, tops)),
        "since": b"%d" % _since([each for dummy, each in captured]),
        "unsettled": joined(unsettled),
        "list": joined(lines),
    }


def _since(captured: t.Sequence[ObservedTree]) -> int:
    """From when on nothing is of the changes that is not in the list, or in a table; nanoseconds since 1970."""
    begun = [each.began for each in captured if each.footprint is None]
    return min(begun) if begun else max((each.footprint.after.began for each in captured if each.footprint), default=0)


def _listed(
    top: str, touched: t.Mapping[str, Touched], unheld: t.Container[str], owner: Owner, settled: bool
) -> t.Iterator[bytes]:
    above, base = os.path.split(top)
    by_directory: dict[str, list[tuple[str, bytes]]] = {}
    for path, sides in touched.items():
        directory, dummy, name = (f"{base}/{path}" if path else base).rpartition("/")
        after = _words(sides.after) if settled else (b"?", b"-")
        if sides.between:
            # Whatever is there now, what somebody made between two changes was replaced.
            after = b"!", b"-"
        facts, content = _words(sides.before)
        words = (owner(top, path, sides).encode(), escape(name), facts, b"!" if path in unheld else content, *after)
        by_directory.setdefault(directory, []).append((name, b" ".join(words)))
        if any(row is not None and row.type == DIRECTORY for row in (sides.before, sides.after)):
            # What is in it is looked at, although nothing of that is in the list.
            by_directory.setdefault(f"{directory}/{name}".lstrip("/"), [])
    for directory in sorted(by_directory, key=lambda name: name.split("/")):
        yield b"@ %b %b" % (escape(above), escape(directory) if directory else b".")
        for dummy2, line in sorted(by_directory[directory]):
            yield line


def _words(row: TableRow | None) -> tuple[bytes, bytes]:
    """Facts and content of a row, as the list has them."""
    if row is None:
        return b"-", b"-"
    seconds, nanoseconds = divmod(abs(row.mtime), 10**9)
    sign = "-" if row.mtime < 0 else ""
    facts = f"{row.type}:{row.mode:o}:{row.uid}:{row.gid}:{row.size}:{sign}{seconds}.{nanoseconds:09d}"
    if any(name.startswith(_NEEDS_MODULE) for name in row.attributes.split(",")):
        facts += "+"
    return facts.encode(), row.hash.encode() or escape(row.target)


SHELL = r"""# --- Paths that changes touched ---
#
# The list has a line for each directory, "@ above below": where the captured path is, and the directory from there.
# Under it stands a line for each path in it that was touched:
#   whose name  before content  after content
# whose: the distribution that owns it; "." where it stands for itself, "-" where nobody owns it, "~" for byte code.
# before, after: type:mode:owner:group:size:time, as it was before the changes and as they left it; "-" where nothing
# was, "?" where nobody looked; "+" behind it for attributes that a shell cannot set.
# content: of a file its SHA-256, or "=" and the link in the store that holds it, or "!" where nothing does; of a link
# its target.
#
# What is as before is left alone, and what is as the changes left it goes back. All else was changed by somebody since.
#
# Each directory is entered, and what is done there is done to ./name: no name that somebody swaps leads elsewhere.

# What is made ready beside its place; the modules know it by this name, too.
staged=./.intellistream-sage.undo

# Enters the directory $2 below $1, both as the list has them. No link may lead there from $1.
enter() {
    decode "$1"
    cd -P -- "$decoded" 2>/dev/null || return 1
    [ "$2" != . ] || return 0
    at=${PWD%/}
    decode "$2"
    cd -P -- "./$decoded" 2>/dev/null && [ "$PWD" = "$at/$decoded" ]
}

# Sets as: what a command begins with that changes something in "."; own and own_mode, of that. Root works in a user's
# directory as this user, who may swap any name in it; and not at all where yet others may.
judge_owner() {
    as=
    own=$(stat -c '%u:%g:%a' .)
    own_mode=${own##*:} own_group=${own#*:} own=${own%%:*}
    own_group=${own_group%:*}
    [ "$me" = 0 ] || return 0
    if shared .; then
        trouble="others than its owner can write to $PWD"
        return 1
    fi
    [ "$own" != 0 ] || return 0
    [ "$own" = "$as_whom" ] || become "$own" || {
        trouble="$PWD belongs to user id $own, and nothing here can act as that user (setpriv, runuser or su)"
        return 1
    }
    as=$as_known
}

# Sets as_known: what a command begins with that the user id $1 is to run.
become() {
    account='' groups=--clear-groups
    for account in $(getent passwd "$1" 2>/dev/null || cat /etc/passwd); do
        IFS=:
        # shellcheck disable=SC2086  # set -f is on
        set -- "$1" $account
        IFS=$nl
        if [ "$4" = "$1" ]; then
            account=$2 own_group=$5 groups=--init-groups
            break
        fi
        account=
    done
    as_whom=$1
    for as_known in "setpriv${nl}--reuid=$1${nl}--regid=$own_group${nl}$groups${nl}--" \
        "runuser${nl}-u${nl}$account${nl}--" \
        "su${nl}-s${nl}/bin/sh${nl}-c${nl}exec \"\$0\" \"\$@\"${nl}--${nl}$account"; do
        # shellcheck disable=SC2086  # a line is a word
        [ "$($as_known id -u 2>/dev/null </dev/null)" != "$1" ] || return 0
    done
    as_whom=
    return 1
}

# Calls $1 in each directory of the list $2, with its lines in $lines, or some of many. entered is empty where no such
# directory is; first is 1 at the first call in a directory, and all its lines are in $of_directory.
each_directory() {
    job=$1 of_directory='' above=''
    for one in $2 '@ / .'; do
        case $one in
        '@ '*)
            heading=${one#@ }
            [ -z "$above" ] || in_directory
            above=${heading%% *} below=${heading#* } of_directory=
            ;;
        *) of_directory=$of_directory$one$nl ;;
        esac
    done
    cd /
}

in_directory() {
    entered=
    ! enter "$above" "$below" || entered=1
    lines='' many=0 first=1
    for line in $of_directory; do
        lines=$lines$line$nl many=$((many + 1))
        if [ "$many" = 500 ]; then
            "$job"
            lines='' many=0 first=
        fi
    done
    [ -z "$lines$first" ] || "$job"
}

# Sets the fields of a line of the list, to which judge has added what is there now and what is to be done.
take_up() {
    IFS=' '
    # shellcheck disable=SC2086  # fields hold no other white space, and set -f is on
    set -- $1
    IFS=$nl
    whose=$1 name=$2 before=$3 before_content=$4 after=$5 after_content=$6 now=${7-} verdict=${8-}
    attributes=
    case $before in
    *+) attributes=1 before=${before%+} ;;
    esac
    # Tools that know no parts of a second.
    [ -z "$coarse" ] || before=${before%.*} after=${after%.*}
    decode "$name"
    file=./$decoded
}

# Sets full: the path of $name, encoded.
full_name() {
    full=$name
    # As a part of a path it is no word of its own.
    [ "$name" != '\0055' ] || full=-
    [ "$below" = . ] || full=$below/$full
    full=${above%/}/$full
}

# Sets fact: that of the list for what stat prints.
read_fact() {
    fact=${1#*:}
    case $1 in
    -*) fact=f:$fact ;;
    *)
        # Of all but files the size is the file system's business.
        size=${fact%:*}
        fact=${1%"${1#?}"}:${size%:*}:0:${fact##*:}
        ;;
    esac
}

# Sets held: the file of the store that has the content $1.
find_content() {
    case $1 in
    =*) held=$store/farm/${1#=} ;;
    *)
        copy=copies/${1%"${1#??}"}/$1
        for id in $layers; do
            layer "$id"
            held=$point/$number/$copy
            [ ! -f "$held" ] || break
        done
        [ -f "$held" ] || held=$store/farm/$copy
        ;;
    esac
    [ -f "$held" ] && [ ! -L "$held" ]
}

# Prints the lines of $1 from the last to the first.
reversed() {
    reverse=
    for line in $1; do
        reverse=$line$nl$reverse
    done
}

# --- What is there now, and what becomes of it ---

# Prints those lines of a directory that are not as before, with what is there now, and what becomes of it: "go";
# "theirs", for somebody changed it; "lives", for nobody owns it and somebody writes to it; "lost", for its content from
# before is not held; "stray", for it lies in the way.
judge_directory() {
    printf '@ %s %s\n' "$above" "$below"
    present=
    set --
    for line in $lines; do
        take_up "$line"
        if [ -n "$entered" ] && exists "$file"; then
            present=$present$line$nl
            set -- "$@" "$file"
        else
            now=- now_content=-
            judge
        fi
    done
    [ -z "$entered" ] || [ -z "$first" ] || judge_strays
    [ "$#" -gt 0 ] || return 0
    facts=$(stat -c "%A:%a:%u:%g:%s:$mtime" -- "$@" 2>/dev/null)
    files=$facts$nl
    for name in "$@"; do
        shift
        case $files in
        -*) set -- "$@" "$name" ;;
        esac
        files=${files#*"$nl"}
    done
    [ "$#" -eq 0 ] || sums=$(hashes "$@")
    for line in $present; do
        take_up "$line"
        read_fact "${facts%%"$nl"*}"
        facts=${facts#*"$nl"}
        now=$fact now_content=-
        case $now in
        f*)
            now_content=${sums%%"$nl"*}
            sums=${sums#*"$nl"}
            ;;
        esac
        judge
    done
}

judge() {
    ! is_before || return 0
    case $before:$after:$now in
    # Of a directory's own mode and owner nothing was touched: what differs is somebody's.
    d*:d*:d*) [ "${before%:*}" != "${after%:*}" ] || return 0 ;;
    esac
    case ${before%%:*}${now%%:*} in
    -d) ! is_needed || return 0 ;;
    esac
    if is_lost; then
        printf '%s %s lost\n' "$line" "$now"
        return
    fi
    verdict=go
    if ! is_after && ! is_half_done; then
        case $whose in
        '~') ;;
        -)
            # A directory that somebody removed is made again for what belongs into it.
            case $before:$now in
            d*:-) ;;
            *) verdict=lives ;;
            esac
            ;;
        *) verdict=theirs ;;
        esac
    fi
    printf '%s %s %s\n' "$line" "$now" "$verdict"
    case ${before%%:*}${now%%:*} in
    [!d]d)
        full=$below/$name
        # Nobody looks for others' files in what is kept aside as a whole.
        [ "$after" = '?' ] || [ "$verdict" != go ] || going="$going$above ${full#./}$nl"
        ;;
    esac
}

# Whether $file is as it was before the changes.
is_before() {
    case $before in
    - | d*) [ "${now%:*}" = "${before%:*}" ] ;;
    *) [ "$now" = "$before" ] && has_content "$before_content" ;;
    esac
}

# Whether nothing holds the content that $file had: the change wrote to it in place, or no link was possible.
is_lost() {
    case $before_content in
    '!') return 0 ;;
    =*)
        # Where links were impossible, only what the change was going to replace is held.
        [ -f "$store/farm/${before_content#=}" ] || { [ "$partly" = 1 ]; return; }
        [ "$(stat -c "%s:$mtime" -- "$store/farm/${before_content#=}")" != "${before#f:*:*:*:}" ]
        ;;
    *) return 1 ;;
    esac
}

# Whether others installed something into the directory $name since: it stays.
is_needed() {
    full_name
    case $nl$foreign in
    *"$nl$full/"*) return 0 ;;
    esac
    return 1
}

# Whether $file is as the changes left it. Content decides before any time does.
is_after() {
    [ "$after" != '?' ] || return 0
    [ "${now%:*}" = "${after%:*}" ] && has_content "$after_content"
}

# Whether a rollback that was interrupted may have left $file as it is.
is_half_done() {
    [ -n "$resumed" ] || return 1
    case ${before%%:*}${now%%:*} in
    ?- | dd) return 0 ;;
    esac
    has_content "$before_content" || has_content "$after_content"
}

# Whether $file has the content $1.
has_content() {
    case $now in
    f*)
        case $1 in
        =*)
            find_content "$1" || return 1
            [ "$file" -ef "$held" ] || sum_of "$held" "$now_content"
            ;;
        *) [ "$now_content" = "$1" ] ;;
        esac
        ;;
    l*)
        decode "$1"
        target=$(readlink -n -- "$file" && echo x)
        [ "$target" = "${decoded}x" ]
        ;;
    esac
}

# In a directory that goes, or becomes something else: what is not in the list.
judge_strays() {
    case $nl$going in
    *"$nl$above $below$nl"*) ;;
    *) return 0 ;;
    esac
    names=$nl
    for line in $of_directory; do
        line=${line#* }
        names=$names${line%% *}$nl
    done
    (
        set +f
        for entry in ./* ./.[!.]* ./..?*; do
            exists "$entry" || continue
            encode "${entry#./}"
            case $names in
            *"$nl$encoded$nl"*) continue ;;
            esac
            full=${above%/}/$below/$encoded
            case $nl$foreign$nl in
            *"$nl$full$nl"* | *"$nl$full/"*) continue ;;
            esac
            printf '. %s - - ? - ? %s\n' "$encoded" "$stray"
        done
    )
}

# --- Before anything is touched ---

paths_check() {
    for id in $layers; do
        check_layer "$id"
    done
    for top in $tops; do
        decode "$top"
        trusted_above "$decoded"
    done
    touched=$list$nl$(unsettled_list) || exit
    todo=$(going=; each_directory judge_directory "$touched") || exit
    made=$(each_directory print_made "$todo")
    each_directory check_directory "$todo"
    # For what is called later.
    eval "touched_${layers%%"$nl"*}=\$touched todo_${layers%%"$nl"*}=\$todo"
}

# Prints directories that are made, or made a directory again.
print_made() {
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict:$before in
        lives:*) ;;
        *:d*) printf '%s\n' "$full" ;;
        esac
    done
}

check_directory() {
    sums=
    set --
    for line in $lines; do
        take_up "$line"
        case $verdict in lives | lost) continue ;; esac
        full_name
        case $before in
        -) ;;
        [bcs]*) refuse "$full was a socket or a device." "$by_module" ;;
        *)
            [ -z "$attributes" ] ||
                refuse "$full had extended attributes, which nothing here can set." "$by_module"
            [ -n "$entered" ] || check_way
            ;;
        esac
        case $before in
        f*)
            find_content "$before_content" || refuse "the captured content of $full is gone." "$restore_store"
            # A link holds the inode itself.
            case $before_content in
            =*) ;;
            *)
                sums=$sums$before_content$nl
                set -- "$@" "$held"
                ;;
            esac
            ;;
        esac
    done
    [ "$#" -eq 0 ] || [ "$(hashes "$@")$nl" = "$sums" ] ||
        refuse "captured content of files in ${above%/}/$below is not what was captured." "$restore_store"
    [ -n "$entered" ] || return 0
    judge_owner || refuse "$trouble." "$by_module"
    [ -n "$as" ] || return 0
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict:$before in
        lives:* | lost:* | *:- | *:?:*:"$own":*:*:*) ;;
        *) refuse "$full was not of user id $own, who owns the directory that it is in." "$by_module" ;;
        esac
    done
}

# Refuses when what is in the way to "." is not in the list.
check_way() {
    decode "$above"
    step=${decoded%/}
    rest=$below/
    way=${above%/}
    while [ -n "$rest" ]; do
        decode "${rest%%/*}"
        step=$step/$decoded way=$way/${rest%%/*} rest=${rest#*/}
        [ -L "$step" ] || { exists "$step" && [ ! -d "$step" ]; } || continue
        case $nl$made$nl in
        *"$nl$way$nl"*) return 0 ;;
        esac
        refuse "$way is a link or a file where a directory was." 'Find out who made it and remove it, then run again.'
    done
}

paths_plan() {
    eval "todo=\$todo_${layers%%"$nl"*}"
    each_directory plan_directory "$todo"
}

plan_directory() {
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict in
        lives)
            living=$living$full$nl
            continue
            ;;
        lost)
            conflicts="$conflicts$full was changed, and its content from before is not held: it stays as it is$nl"
            continue
            ;;
        theirs) conflicts="$conflicts$full was changed by somebody$nl" ;;
        stray)
            [ "$name" = __pycache__ ] || plan_remove="$plan_remove$full (kept aside)$nl"
            continue
            ;;
        esac
        [ -n "$closed" ] || {
            place=$PWD
            [ -n "$entered" ] || {
                decode "${above%/}/$below"
                place=$decoded
            }
            look_whether_closed "$place"
        }
        [ -z "$brief" ] || {
            tell_briefly
            continue
        }
        case $after:${before%%:*}${now%%:*} in
        '?:-'?) plan_remove="$plan_remove$full (kept aside)$nl" ;;
        *:-?) plan_remove="$plan_remove$full (is new)$nl" ;;
        *:?-) plan_restore="$plan_restore$full (is gone)$nl" ;;
        *) plan_restore="$plan_restore$full (differs)$nl" ;;
        esac
    done
}

# What the names of distributions tell is not told once more by paths.
tell_briefly() {
    case $whose in
    '~') return ;;
    [.-]) ;;
    *)
        case " $summed " in
        *" $whose "*) ;;
        *) same_version=$same_version$whose$nl ;;
        esac
        return
        ;;
    esac
    case $after:${before%%:*}${now%%:*} in
    *:dd) plan_restore="$plan_restore$full (differs)$nl" ;;
    '?:-'?) plan_remove="$plan_remove$full (kept aside)$nl" ;;
    *:d? | *:?d) ;;
    *:-?) plan_remove=$plan_remove$full$nl ;;
    *) plan_restore=$plan_restore$full$nl ;;
    esac
}

# --- The work. Whatever interrupts it, the next run finds less to do ---

# $1, if it is not empty, is a pattern of what is to tell till the last what was there: it goes when all else is done.
paths_execute() {
    eval "touched=\$touched_${layers%%"$nl"*} todo=\$todo_${layers%%"$nl"*}"
    at_last=$1 is_last=
    [ -z "$resumed" ] || close_opened
    restless=
    each_directory restless_directory "$touched"
    clear_paths
    again=
    each_directory fill_directory "$todo"
    reversed "$again"
    for line in $reverse; do
        in_parent "$line" || continue
        give_metadata
        close_directory
    done
    if [ -n "$at_last" ]; then
        is_last=1
        clear_paths
    fi
    again=
    each_directory times_directory "$touched"
    reversed "$again"
    for line in $reverse; do
        in_parent "$line" || continue
        set_time
        close_directory
    done
    cd /
}

# Closes directories that a killed run has left open to their owner.
close_opened() {
    for line in $(cat -- "$begun"); do
        IFS=' '
        # shellcheck disable=SC2086  # "opened mode above below"
        set -- $line
        IFS=$nl
        [ "$1" = opened ] && enter "$3" "$4" && judge_owner || continue
        $as chmod "$2" .
    done
    cd /
}

clear_paths() {
    gone=
    each_directory clear_directory "$todo"
    reversed "$gone"
    for line in $reverse; do
        in_parent "$line" || continue
        $as rmdir -- "$file" 2>/dev/null
        close_directory
    done
}

# Makes ready to change something in ".".
open_directory() {
    judge_owner || fail "$trouble."
    # The directory's own time is not to tell of what is done in it.
    touch -m -r . -- "$state/rollback.time" || fail "$state/rollback.time could not be written."
    opened=
    if [ "$((0$own_mode & 0200))" -eq 0 ] && [ "$me$as" != 0 ]; then
        # Noted, since a killed run leaves it open.
        printf 'opened %s %s %s\n' "$own_mode" "$above" "$below" >>"$begun"
        $as chmod u+w . && opened=1
    fi
    [ -z "$resumed" ] || $as rm -f -- "$staged"
}

close_directory() {
    [ -z "$opened" ] || $as chmod "$own_mode" .
    touch -m -r "$state/rollback.time" .
}

# Enters the directory of a line with above and below before it, and takes the line up.
in_parent() {
    above=${1%% *} line=${1#* }
    below=${line%% *} line=${line#* }
    enter "$above" "$below" || return 1
    take_up "$line"
    open_directory
}

# What goes, and what becomes a directory or is one no longer.
clear_directory() {
    [ -n "$entered" ] || return 0
    open_directory
    removed=
    for line in $lines; do
        take_up "$line"
        # shellcheck disable=SC2254  # a pattern
        case $below/$name/ in
        $at_last) [ -n "$is_last" ] || continue ;;
        *) [ -z "$is_last" ] || continue ;;
        esac
        clear_code
        case $verdict:${before%%:*}${now%%:*} in
        lives:* | lost:* | *:?- | *:dd) ;;
        stray:*) set_aside ;;
        *:?d)
            if [ "$after" = '?' ] || [ "$verdict" = theirs ]; then
                set_aside
            else
                gone="$gone$above $below $line$nl"
            fi
            ;;
        *:-? | *:d?)
            if is_kept; then
                set_aside
            else
                removed=$removed$line$nl
            fi
            ;;
        esac
    done
    remove_lines
    close_directory
}

# Removes the files of the lines $removed, which nobody has changed since they were looked at.
remove_lines() {
    are_still "$removed"
    set --
    for line in $removed; do
        take_up "$line"
        set -- "$@" "$file"
    done
    [ "$#" -eq 0 ] || $as rm -f -- "$@" || fail "files in $PWD could not be removed."
}

# Whether $file is moved to the store when it goes: somebody else made it, or may have.
is_kept() {
    [ "$verdict" = theirs ] || { [ "$after" = '?' ] && [ "$whose" != '~' ]; }
}

# Fails if a file of the lines $1 was changed since it was looked at.
are_still() {
    set -- "$1"
    seen=
    for line in $1; do
        take_up "$line"
        exists "$file" || continue
        seen=$seen$line$nl
        set -- "$@" "$file"
    done
    shift
    [ "$#" -gt 0 ] && [ -z "$resumed" ] || return 0
    facts=$(stat -c "%A:%a:%u:%g:%s:$mtime" -- "$@")
    for line in $seen; do
        take_up "$line"
        read_fact "${facts%%"$nl"*}"
        facts=${facts#*"$nl"}
        # What contains it may have been put back meanwhile, and it with that.
        [ "$fact" = "$now" ] || { [ -f "$file" ] && [ ! -L "$file" ] && sum_of "$file" "$before_content"; } ||
            fail "$PWD/$decoded was changed by somebody just now."
    done
}

# Whether something was done to $1 since the changes.
is_newer() {
    changed=$(stat -c "$ctime" -- "$1")
    if [ -n "$coarse" ]; then
        [ "$changed" -gt "${since%?????????}" ]
    else
        [ "${changed%.*}${changed#*.}" -ge "$since" ]
    fi
}

# Removes byte code of the source $file that came since. What a table tells of it is in the list.
clear_code() {
    case $unsettled:$name in
    :*.py) ;;
    *) return 0 ;;
    esac
    [ -d ./__pycache__ ] && [ ! -L ./__pycache__ ] || return 0
    (
        set +f
        for code in "./__pycache__/${decoded%.py}".*.pyc; do
            [ ! -f "$code" ] || ! is_newer "$code" || $as rm -f -- "$code"
        done
    )
    $as rmdir -- ./__pycache__ 2>/dev/null
    return 0
}

# Moves $file to the store, never over another.
set_aside() {
    exists "$file" || return 0
    if [ "$decoded" = __pycache__ ] && [ -d "$file" ] && [ ! -L "$file" ]; then
        (
            set +f
            $as rm -f -- "$file"/*.pyc
        )
        ! $as rmdir -- "$file" 2>/dev/null || return 0
    fi
    layer "${layers##*"$nl"}"
    aside=$point/$number/aside$PWD
    mkdir -p -- "$aside" || fail "$aside could not be made."
    to=$aside/$decoded copy=0
    while exists "$to"; do
        copy=$((copy + 1)) to=$aside/$decoded.$copy
    done
    mv -T -- "$file" "$to" || fail "$PWD/$decoded could not be kept aside."
}

fill_directory() {
    needed=
    for line in $lines; do
        take_up "$line"
        case $verdict:$before in
        lives:* | lost:* | *:-) ;;
        *) needed=1 ;;
        esac
    done
    [ -n "$needed" ] || return 0
    if [ -z "$entered" ]; then
        # Somebody removed it, of whose own nothing was touched.
        decode "${above%/}/$below"
        (umask 022 && mkdir -p -- "$decoded") && enter "$above" "$below" || fail "$decoded could not be made."
    fi
    open_directory
    together='' stage=
    [ -n "$as" ] || [ "$(stat -c %d -- "$state")" != "$(stat -c %d .)" ] || stage=$state/rollback.stage
    for line in $lines; do
        take_up "$line"
        case $verdict:${before%%:*} in
        lives:* | lost:* | *:-) ;;
        *:d)
            [ -d "$file" ] || $as mkdir -- "$file" || fail "$PWD/$decoded could not be made."
            again="$again$above $below $line$nl"
            ;;
        *:f)
            if [ -n "$stage" ]; then
                together=$together$line$nl
            else
                put_back
            fi
            ;;
        *) put_back ;;
        esac
    done
    [ -z "$together" ] || put_together
    close_directory
}

# Puts back the files of the lines $together: made ready in the directory of the state, and renamed.
put_together() {
    rm -rf -- "$stage"
    mkdir -m 0700 -- "$stage" || fail "$stage could not be made."
    set --
    for line in $together; do
        take_up "$line"
        find_content "$before_content" || fail "the captured content of $PWD/$decoded is gone."
        cp -p -- "$held" "$stage/$decoded" || fail "$PWD/$decoded could not be written."
        set -- "$@" "$stage/$decoded"
    done
    for mode in $(for line in $together; do
        take_up "$line"
        line=${before#*:}
        printf '%s\n' "${line%%:*}"
    done | sort -u); do
        give_mode
    done
    facts=$(stat -c "f:%a:%u:%g:%s:$mtime" -- "$@")
    replaced=
    for line in $together; do
        take_up "$line"
        # A cp that knows no parts of a second has cut them off.
        if [ -n "$coarse" ] || [ "$before" != "${facts%%"$nl"*}" ]; then
            file=$stage/$decoded
            find_content "$before_content"
            give_metadata
            file=./$decoded
        fi
        facts=${facts#*"$nl"}
        if is_kept; then
            set_aside
        else
            replaced=$replaced$line$nl
        fi
    done
    are_still "$replaced"
    mv -f -- "$@" . || fail "files could not be put into $PWD."
    rm -rf -- "$stage"
}

# Gives the files of the lines $together that had it the mode $mode.
give_mode() {
    set --
    for line in $together; do
        take_up "$line"
        case $before in
        f:"$mode":*) set -- "$@" "$stage/$decoded" ;;
        esac
    done
    chmod "$mode" -- "$@"
}

# Puts back what was no directory: made ready beside its place, and renamed.
put_back() {
    $as rm -f -- "$staged"
    case $before in
    f*)
        find_content "$before_content" || fail "the captured content of $PWD/$decoded is gone."
        if [ -n "$as" ]; then
            # Who may not enter the store gets it open.
            $as tee -- "$staged" <"$held" >/dev/null
        else
            cp -- "$held" "$staged"
        fi || fail "$PWD/$decoded could not be written."
        ;;
    l*)
        decode "$before_content"
        $as ln -s -- "$decoded" "$staged" || fail "$file in $PWD could not be made."
        ;;
    p*) $as mkfifo -m 0600 -- "$staged" || fail "$PWD/$decoded could not be made." ;;
    esac
    place=$file file=$staged
    give_metadata
    file=$place
    decode "$name"
    if is_kept; then
        set_aside
    else
        are_still "$line"
        take_up "$line"
    fi
    $as mv -fT -- "$staged" "$file" || fail "$PWD/$decoded could not be put in place."
}

# Gives $file the owner, mode and time from before; verification names what stays different.
give_metadata() {
    IFS=:
    # shellcheck disable=SC2086  # numbers
    set -- $before
    IFS=$nl
    [ "$(stat -c %u:%g -- "$file")" = "$3:$4" ] || $as chown -h "$3:$4" -- "$file" 2>/dev/null
    case $before in
    l*) ;;
    *) $as chmod "$2" -- "$file" 2>/dev/null ;;
    esac
    set_time
}

set_time() {
    if [ -z "$coarse" ]; then
        $as touch -h -m -d "@${before##*:}" -- "$file" 2>/dev/null
        return
    fi
    # A touch that can set no part of a second can take one over.
    case $before in
    f*) [ -n "$as" ] || [ "$(stat -c %Y -- "$held")" != "${before##*:}" ] || {
        touch -h -m -r "$held" -- "$file"
        return
    } ;;
    esac
    $as touch -h -m -d "@${before##*:}" -- "$file" 2>/dev/null
}

# Sets restless: directories in which others made or removed something since the changes. Their time is others'.
restless_directory() {
    [ -n "$entered" ] && [ -z "$resumed" ] || return 0
    for line in $lines; do
        take_up "$line"
        case $before:$after in
        d*:d*) ;;
        *) continue ;;
        esac
        # Where byte code came since, that alone moves the time.
        [ -d "$file" ] && [ ! -L "$file" ] && [ ! -d "$file/__pycache__" ] || continue
        [ "$(stat -c "$mtime" -- "$file")" = "${after##*:}" ] || restless="$restless$above $below $line$nl"
    done
}

# Directories in which something was touched get their time back.
times_directory() {
    [ -n "$entered" ] || return 0
    for line in $lines; do
        take_up "$line"
        case $before in
        d*) ;;
        *) continue ;;
        esac
        [ -d "$file" ] && [ ! -L "$file" ] || continue
        case $nl$restless in
        *"$nl$above $below $line$nl"*) ;;
        *) again="$again$above $below $line$nl" ;;
        esac
    done
}

paths_verify() {
    touched=$list$nl$(unsettled_list)
    todo=$(going=; each_directory judge_directory "$touched")
    each_directory verify_directory "$todo"
}

verify_directory() {
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict in
        lives) ;;
        lost) printf '%s has lost what it was\n' "$full" ;;
        *) printf '%s differs from what was captured\n' "$full" ;;
        esac
    done
}

# --- Changes that were interrupted: nobody looked at what they left ---

# Prints, as a list, what is not as in the tables from before them: "capture file-of-the-table hash above below".
unsettled_list() {
    listed=$(each_directory print_full "$list")
    covered=
    for capture in $unsettled; do
        IFS=' '
        # shellcheck disable=SC2086  # set -f is on
        set -- $capture
        IFS=$nl
        layer "$1"
        above=$4 base=$5
        sum_of "$point/$number/$2" "$3" ||
            refuse "$point/$number/$2 is not what was captured." "$restore_store"
        table=$(cat -- "$point/$number/$2")
        written=$(set +f; cat -- "$store/farm/copied"* 2>/dev/null)
        IFS=' '
        # shellcheck disable=SC2086  # "sage-table format began file-system generation"
        set -- ${table%%"$nl"*}
        IFS=$nl
        generation=$5
        decode "$above"
        cd -P -- "$decoded" 2>/dev/null || continue
        rows='' many=0
        for line in $table; do
            case $line in
            [fdlpsbc]' '*) ;;
            *) continue ;;
            esac
            rows=$rows$line$nl many=$((many + 1))
            [ "$many" -lt 200 ] || {
                compare_rows
                rows='' many=0
            }
        done
        compare_rows
        new_paths
        covered=$covered${above%/}/$base$nl
    done
}

print_full() {
    for line in $lines; do
        line=${line#* }
        name=${line%% *}
        full_name
        printf '%s\n' "$full"
    done
}

# Prints those of the rows that are not as the table has them, by what tells at once.
compare_rows() {
    present=
    set --
    for row in $rows; do
        path_of_row
        if exists "./$decoded"; then
            present=$present$row$nl
            set -- "$@" "./$decoded"
        else
            print_row
        fi
    done
    [ "$#" -gt 0 ] || return 0
    facts=$(stat -c "%04a %u %g %s $mtime %i $ctime %A" -- "$@")
    for row in $present; do
        fact=${facts%%"$nl"*}
        facts=${facts#*"$nl"}
        IFS=' '
        # shellcheck disable=SC2086  # as docs/formats.md has them
        set -- $row
        IFS=$nl
        seconds "$6"
        modified=$instant
        changed='*'
        if [ "$1${10}" != f- ]; then
            # What is held as a copy holds no inode: only a time that nobody can set tells of it.
            seconds "$8"
            changed=$instant
        fi
        [ -z "$coarse" ] || modified=${modified%.*} changed=${changed%.*}
        case $1:$fact in
        "f:$2 $3 $4 $5 $modified $7 "$changed' -'*) ;;
        "l:$2 $3 $4 "*" $modified $7 "*' l'*) ;;
        "d:$2 $3 $4 "*" $modified $7 "*' d'*) ;;
        [psbc]":$2 $3 $4 "*" $modified $7 "*) ;;
        *)
            path_of_row
            print_row
            ;;
        esac
    done
}

# Sets encoded and decoded: the path of the row $row from where the captured path is.
path_of_row() {
    encoded=$base/${row##* }
    case ${row##* } in
    -) encoded=$base ;;
    '\0055') encoded=$base/- ;;
    esac
    decode "$encoded"
}

# Prints a row as a line of the list.
print_row() {
    line=$encoded
    IFS=' '
    # shellcheck disable=SC2086  # as docs/formats.md has them
    set -- $row
    IFS=$nl
    seconds "$6"
    content=${10}
    case $1 in
    l) content=${12} ;;
    f)
        if [ "$content" = - ]; then
            link=$(printf '%x.%x.%x' "$7" "$5" "$6")
            case $nl$written in
            *"$nl$link "*)
                content=${written#*"$link "}
                content=${content%%"$nl"*}
                ;;
            *) content="=$generation/$(printf '%02x' "$(($7 >> 8 & 255))")/$link" ;;
            esac
        fi
        ;;
    esac
    case $content:$line in
    =*:*/__pycache__/*.pyc)
        # It is made again by whoever needs it.
        if [ ! -f "$store/farm/${content#=}" ]; then
            print_line '- -'
            return
        fi
        ;;
    esac
    case ${11} in
    *user.* | *trusted.* | *system.posix_acl* | *security.capability*) instant=$instant+ ;;
    esac
    print_line "$1:$(printf '%o' "0$2"):$3:$4:$5:$instant $content"
}

# Prints the path $line, which had the facts and content $1, unless an older capture tells of it.
print_line() {
    case $nl$listed$nl in
    *"$nl${above%/}/$line$nl"*) return 0 ;;
    esac
    for older in $covered; do
        case ${above%/}/$line in
        "$older" | "$older"/*) return 0 ;;
        esac
    done
    case $line in
    */*) printf '@ %s %s\n' "$above" "${line%/*}" ;;
    *) printf '@ %s .\n' "$above" ;;
    esac
    mark=.
    case $line in
    */__pycache__/*.pyc) mark='~' ;;
    esac
    name=${line##*/}
    [ "$name" != - ] || name='\0055'
    printf '%s %s %s ? -\n' "$mark" "$name" "$1"
}

# Prints what came below the captured path, each directory as a whole.
new_paths() {
    decode "$base"
    exists "./$decoded" || return 0
    known=$(for row in $table; do
        case $row in
        [fdlpsbc]' '*)
            path_of_row
            printf '%s\n' "$encoded"
            ;;
        esac
    done)
    there=$({
        printf '%s\n' "$base"
        [ ! -d "./$decoded" ] || [ -L "./$decoded" ] || for line in $(walk . "$decoded"); do
            printf '%s\n' "${line#* }"
        done
    })
    last=/
    # In the order of directories.
    for line in $(without "$there" "$known" | tr / '\001' | sort | tr '\001' /); do
        case $line in
        "$last"/*) continue ;;
        esac
        case $nl$foreign$nl in
        *"$nl${above%/}/$line$nl"* | *"$nl${above%/}/$line/"*) continue ;;
        esac
        case $line in
        # Byte code of what somebody else installed.
        */__pycache__ | */__pycache__/*)
            case $nl$foreign in
            *"$nl${above%/}/${line%%/__pycache__*}/"*) continue ;;
            esac
            ;;
        esac
        last=$line
        print_line '- -'
    done
}

"""
