"""C(rollback.sh): comparing what is there with what was captured."""

from __future__ import annotations

COMPARE = r"""# Where an item lies below $1: sets file.
place() {
    if [ "$name" = . ]; then
        file=$1
    else
        decode "$name"
        file=$1/$decoded
    fi
}

# Prints those of the items $2 that are not below $1 as they were captured.
# With $3 the same file there needs no reading; with $4 = stored, $1 is the store itself.
unlike() {
    base=$1 trusted=${3-} stored=${4-} pending='' blocked=/
    lines=$2
    set --
    for line in $lines; do
        split "$line"
        case $name in
        "$blocked"/*)
            printf '%s\n' "$line"
            continue
            ;;
        esac
        place "$base"
        case $type in
        f) [ -f "$file" ] && [ ! -L "$file" ] ;;
        d)
            if [ ! -d "$file" ] || [ -L "$file" ]; then
                blocked=$name
                # All that is left is below the captured path itself.
                [ "$name" != . ] || blocked=
                false
            fi
            ;;
        l) [ -L "$file" ] && is_link "$file" && continue ;;
        a) ! exists "$file" && continue ;;
        *) false ;;
        esac || {
            printf '%s\n' "$line"
            if [ -z "$blocked" ]; then
                # Nothing below what is no directory is looked at.
                printf '%s\n' "$lines" | tail -n +2
                return
            fi
            continue
        }
        set -- "$@" "$file"
        pending=$pending$line$nl
        if [ "$#" -ge 128 ]; then
            unlike_batch "$@"
            set --
            pending=
        fi
    done
    [ "$#" -eq 0 ] || unlike_batch "$@"
}

is_link() {
    target=$(readlink -n -- "$1" && echo x)
    decode "$value"
    [ "$target" = "${decoded}x" ]
}

# As unlike, for the files and directories "$@" of the lines in pending.
unlike_batch() {
    found=$(stat --printf '%s %.9Y %04a %u %g\n' -- "$@" 2>/dev/null)$nl
    same=
    for line in $pending; do
        split "$line"
        seconds "$mtime"
        fact=${found%%"$nl"*}
        found=${found#*"$nl"}
        here=$1
        shift
        if [ "$type" = d ]; then
            fact=${fact#* }
            [ "${fact#* }" = "$mode $uid $gid" ] || printf '%s\n' "$line"
        elif [ "$fact" = "$size $instant $mode $uid $gid" ] || { [ -n "$stored" ] && sound "$fact"; }; then
            if [ -n "$trusted" ]; then
                place "$trusted"
                # The very file that was read in the store.
                [ ! "$here" -ef "$file" ] || continue
            fi
            same=$same$line$nl
            set -- "$@" "$here"
        else
            printf '%s\n' "$line"
        fi
    done
    [ "$#" -gt 0 ] || return 0
    # shellcheck disable=SC2046  # a line is a hash; one too few, and none fits
    set -- $(hashes "$@")
    for line in $same; do
        value=${line#* f }
        [ "${1-}" = "${value%% *}" ] || printf '%s\n' "$line"
        [ "$#" -eq 0 ] || shift
    done
}

# Prints the SHA-256 of each of the files "$@".
hashes() {
    # A name with a backslash or newline has a backslash before the hash.
    sha256sum -- "$@" 2>/dev/null | tr -d "\134" | cut -c 1-64
}

# Whether a stored file with these facts may be used: restoring mends time and mode.
sound() {
    IFS=' '
    # shellcheck disable=SC2086  # five numbers
    set -- $1
    IFS=$nl
    [ "$#" -eq 5 ] && [ "$1" = "$size" ] || return 1
    [ "$4" = "$uid" ] || [ "$4" = "$me" ] || return 1
    [ "$((0$3 & ~0$mode & 07000))" -eq 0 ]
}

# Refuses when a directory on the way from $1 to one of the names $2 is a link, or a file.
no_links() {
    seen=
    for name in $2; do
        directory=${name%/*}
        if [ "$directory" = "$name" ] || [ "$directory" = "$seen" ]; then
            continue
        fi
        seen=$directory
        step=$1
        rest=$directory/
        while [ -n "$rest" ]; do
            decode "${rest%%/*}"
            step=$step/$decoded
            rest=${rest#*/}
            [ ! -L "$step" ] ||
                refuse "$step is a symbolic link where a directory was." \
                    'Find out who made it and remove it, then run again.'
            [ -d "$step" ] || ! exists "$step" ||
                refuse "$step is in the way of a directory." 'Move it away, then run again.'
        done
    done
}

# Refuses when a directory above $1 is a link of somebody else.
trusted_above() {
    step=
    rest=${1%/*}
    rest=${rest#/}/
    while [ -n "$rest" ]; do
        step=$step/${rest%%/*}
        rest=${rest#*/}
        [ -L "$step" ] || continue
        owner=$(stat -c %u -- "$step")
        [ "$owner" = 0 ] || [ "$owner" = "$me" ] ||
            refuse "$step is a symbolic link of user id $owner." 'Find out who made it and remove it, then run again.'
    done
}

# Prints the items $2 of type $1.
of_type() {
    for line in $2; do
        case ${line#* } in
        "$1 "*) printf '%s\n' "$line" ;;
        esac
    done
}

names_of() {
    for line in $1; do
        printf '%s\n' "${line##* }"
    done
}

# Refuses unless a capture is in the store, and its list is what was captured.
check_layer() {
    layer "$1"
    for directory in "$store" "${point%/*}" "$point" "$point/$number"; do
        [ -d "$directory" ] && [ ! -L "$directory" ] ||
            refuse "the captured content $directory is gone." "$restore_store"
    done
    sum_of "$point/$number.json" "$header_sum" ||
        refuse "$point/$number.json is not what was captured." "$restore_store"
    load "$1"
}

# Refuses unless the files of the items $1 are below $2 as they were captured.
check_items() {
    files=$(of_type f "$1")
    [ ! -L "$2" ] || refuse "$2 is a symbolic link." "$restore_store"
    no_links "$2" "$(names_of "$files")"
    damaged=$(unlike "$2" "$files" '' stored) || exit
    if [ -n "$damaged" ]; then
        name=${damaged%%"$nl"*}
        name=${name##* }
        refuse "the captured file $2/$name is not what was captured." \
            'Somebody changed it. Restore the store from a copy, or reinstall.'
    fi
}

"""
