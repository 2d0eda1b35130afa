# shellcheck shell=sh disable=SC2034,SC2317,SC2329
# Files that are written whole or not at all, and what stands against that. Needs answers.sh.

# --- Disks that cannot be written ---

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
