"""C(rollback.sh): its settings, and names."""

from __future__ import annotations

# Of the system alone: what runs as root is not looked for where somebody else's shell would look.
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NAMES = (
    r"""# --- How it is done ---
#
# Everything is checked and computed before anything is touched, and the order of the work is such that a run that was
# interrupted anywhere is finished by running the script again. IFS is a newline: "for" reads lines.

set -uf
LC_ALL=C
export LC_ALL
unset CDPATH
# What is written is its owner's alone, as all of the record is, until it gets the mode that it had.
umask 077
PATH="""
    + SEARCHED
    + r"""
export PATH
# git is told where to look by -C alone.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE
unset GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT
GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0 GIT_LITERAL_PATHSPECS=1
export GIT_TERMINAL_PROMPT GIT_OPTIONAL_LOCKS GIT_LITERAL_PATHSPECS
nl='
'
IFS=$nl
# What the store writes as \0ooo, so that a name is one field of one line.
odd=$(printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020')
odd=$odd$(printf '\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037 \177\\x')
odd=${odd%x}
# What it ends with, see --help.
ended_badly=1 ended_refused=2 ended_unconfirmed=3
yes='' force='' dry='' changing='' resumed='' conflicts='' closed=''
by_module='Roll back with intellistream.sage.sage_rollback.'
restore_store='Somebody changed the store. Restore it from a copy; without it nothing can be put back.'
living='' summed='' same_version='' brief='' foreign='' partly='' as_whom='' as_known=''
plan_install='' plan_erase='' plan_restore='' plan_remove=''

usage() {
    printf '%s\n' 'Usage: sh rollback.sh [--dry-run] [--yes] [--force]' \
        '  --dry-run  show what would be done, do nothing' \
        '  --yes      do not ask' \
        '  --force    take the captured side where somebody changed things since; edited files are kept aside' \
        'Ends with 0: done; 1: something differs, or it was interrupted: run it again;' \
        '          2: refused, nothing was touched; 3: not confirmed, nothing was touched.'
}

# Ends without having touched anything: what is wrong, what to do.
refuse() {
    [ -z "$changing" ] || fail "$1"
    show "$1"
    printf 'Refused: %s\n' "$shown" >&2
    untouched "$ended_refused" "${2-}"
}

# Ends with the status $1, and says what to do, $2.
untouched() {
    [ -z "$2" ] || printf 'What to do: %s\n' "$2" >&2
    printf 'Nothing was touched.\n' >&2
    exit "$1"
}

# Ends in the middle of the work.
fail() {
    printf 'The rollback was interrupted: %s\n' "$1" >&2
    printf 'What to do: mend that, then run the same command again: it continues.\n' >&2
    exit "$ended_badly"
}

# Refuses when $1 could not be written, and a tool said $2 about it.
refuse_unwritable() {
    case $2 in
    *Read-only*)
        mounted=/
        while IFS=' ' read -r dummy dummy dummy dummy at dummy; do
            case $1/ in
            "$at"/*) [ "${#at}" -lt "${#mounted}" ] || mounted=$at ;;
            esac
        done </proc/self/mountinfo
        set -- "$1" "$2" "Find out why with dmesg. Then make the disk writable, and run the same command again:
mount -o remount,rw '$mounted'"
        ;;
    *space* | *quota*) set -- "$1" "$2" 'Make room on its disk, then run the same command again.' ;;
    *) set -- "$1" "$2" 'Mend that, then run the same command again.' ;;
    esac
    refuse "$1 cannot be written: ${2##*: }." "$3"
}

# Writes the lines "$@" after the first as the file $1, whole or not at all; prints what a tool said if it could not.
write_lines() {
    (
        name=$1
        shift
        rm -f -- "$name.tmp" && printf '%s\n' "$@" >"$name.tmp" && mv -fT -- "$name.tmp" "$name"
    ) 2>&1
}

# Notes that nothing can be written in the directory $1, or in the one above it that is there.
look_whether_closed() {
    [ -z "$closed" ] || return 0
    place=$1
    until [ -d "$place/" ]; do
        place=${place%/*}
    done
    [ ! -w "$place/" ] || return 0
    # Nobody can write on a disk that is read-only; other rights are judged where they matter.
    trouble=$(mkdir -- "$place/.sage-closed" 2>&1) && rmdir -- "$place/.sage-closed"
    case $trouble in
    *Read-only*) closed=${place:-/} ;;
    esac
}

stopped() {
    if [ -n "$changing" ]; then
        fail 'a signal came.'
    fi
    printf 'Stopped.\n' >&2
    untouched "$ended_refused" ''
}

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# --- Names: as the store writes them, and as they are ---

# Sets shown: a name for people; control characters stay escaped.
show() {
    shown=$1
    while :; do
        case $shown in
        *'\0040'*) shown=${shown%%'\0040'*}' '${shown#*'\0040'} ;;
        *) return ;;
        esac
    done
}

# Sets decoded.
decode() {
    decoded=$1
    case $decoded in
    *\\*) ;;
    *) return ;;
    esac
    show "$decoded"
    decoded=$shown
    case $decoded in
    *\\*)
        decoded=$(printf '%bx' "$decoded")
        decoded=${decoded%x}
        ;;
    esac
}

# Sets encoded.
encode() {
    encoded=$1
    case $encoded in
    - | *["$odd"]*) ;;
    *) return ;;
    esac
    if [ "$encoded" = - ]; then
        encoded='\0055'
        return
    fi
    encoded=
    for octal in $(printf '%s' "$1" | od -An -v -to1 -w1); do
        octal=${octal#"${octal%???}"}
        case $octal in
        0[0-3]? | 040 | 134 | 177) encoded="$encoded\\\\0$octal" ;;
        *) encoded="$encoded\\0$octal" ;;
        esac
    done
    encoded=$(printf '%b' "$encoded")
}

# Sets instant: nanoseconds as stat and touch have them.
seconds() {
    instant=$1
    case $instant in
    -*)
        instant=${instant#-}
        sign=-
        ;;
    *) sign= ;;
    esac
    while [ "${#instant}" -lt 10 ]; do
        instant=0$instant
    done
    instant=$sign${instant%?????????}.${instant#"${instant%?????????}"}
}

sum_of() {
    sum=$(sha256sum <"$1") || return 1
    [ "${sum%% *}" = "$2" ]
}

# Prints the lines of $1 that are not in $2.
without() {
    printf '%s\n' "$1" "$2" "$2" | sort | uniq -u
}

count() {
    number_of=0
    for one in $1; do
        number_of=$((number_of + 1))
    done
}

"""
)
