"""C(rollback.sh): putting files back, and moving others out of the way."""

from __future__ import annotations

WORK = r"""# --- Work that several kinds of resources need ---

# Removes the files named in $2 below $1.
remove_files() {
    base=$1
    names=$2
    set --
    for name in $names; do
        decode "$name"
        set -- "$@" "$base/$decoded"
        if [ "$#" -ge 128 ]; then
            rm -f -- "$@" || fail "files in $base could not be removed."
            set --
        fi
    done
    [ "$#" -eq 0 ] || rm -f -- "$@" || fail "files in $base could not be removed."
}

# Removes what is named in $2 below $1, directories with all in them.
remove_trees() {
    base=$1
    names=$2
    set --
    for name in $names; do
        decode "$name"
        set -- "$@" "$base/$decoded"
        if [ "$#" -ge 128 ]; then
            rm -rf -- "$@" || fail "files in $base could not be removed."
            set --
        fi
    done
    [ "$#" -eq 0 ] || rm -rf -- "$@" || fail "files in $base could not be removed."
}

# Puts the files and links of the items $3 from $1 to their places below $2, through $4 on the same file system.
put() {
    source=$1 goal=$2 lines=$3 stage=$4 linked=''
    set --
    for line in $lines; do
        split "$line"
        [ "$type$how" = fl ] || continue
        decode "$name"
        [ ! "$source/$decoded" -ef "$goal/$decoded" ] || continue
        set -- "$@" "./$decoded"
        if [ "$#" -ge 128 ]; then
            put_linked "$@"
            set --
        fi
    done
    [ "$#" -eq 0 ] || put_linked "$@"
    set --
    for line in $lines; do
        split "$line"
        [ "$type$how" = fc ] || continue
        decode "$name"
        set -- "$@" "./$decoded"
        if [ "$#" -ge 128 ]; then
            put_copied "$@"
            set --
        fi
    done
    [ "$#" -eq 0 ] || put_copied "$@"
    for line in $lines; do
        split "$line"
        [ "$type" = l ] || continue
        place "$goal"
        put_link "$file"
    done
    # Owner, mode and time of what has them otherwise in the store too.
    for line in $(unlike "$goal" "$(of_type f "$lines")" "$source"); do
        split "$line"
        place "$goal"
        dress "$file"
    done
}

put_linked() {
    # Not over what is there: cp would leave a name of its own behind if it were killed.
    if ! (cd -- "$source" && cp -l --remove-destination --parents -t "$goal" -- "$@" 2>/dev/null); then
        put_copied "$@"
    fi
}

put_copied() {
    rm -rf -- "$stage"
    mkdir -m 0700 -- "$stage" || fail "$stage could not be made."
    (cd -- "$source" && cp -a --parents -t "$stage" -- "$@") || fail "files could not be copied to $stage."
    # By directory: a rename replaces a file in one step.
    group=
    for copied in "$@"; do
        if [ "${copied%/*}" != "$group" ]; then
            group=${copied%/*}
            mkdir -p -- "$goal/$group" || fail "$goal/$group could not be made."
            put_group
        fi
    done
    rm -rf -- "$stage"
}

# Renames the files in the directory $group of what was copied.
put_group() {
    set +f
    set -- "$stage/$group"/* "$stage/$group"/.[!.]* "$stage/$group"/..?*
    set -f
    left=$#
    while [ "$left" -gt 0 ]; do
        left=$((left - 1))
        [ ! -f "$1" ] || set -- "$@" "$1"
        shift
    done
    [ "$#" -eq 0 ] || mv -f -t "$goal/$group" -- "$@" || fail "files could not be put into $goal/$group."
}

# Makes the symbolic link of the item that was split.
put_link() {
    decode "$value"
    target=$decoded
    rm -rf -- "$stage"
    ln -s -- "$target" "$stage" || fail "$1 could not be made."
    seconds "$mtime"
    touch -h -d "@$instant" -- "$stage"
    [ "$(stat -c '%u %g' -- "$stage")" = "$uid $gid" ] || chown -h "$uid:$gid" -- "$stage" 2>/dev/null
    mkdir -p -- "${1%/*}" && mv -fT -- "$stage" "$1" || fail "$1 could not be put in place."
}

# Gives the file or directory $1 what the item that was split says; verification names what stays different.
dress() {
    [ "$(stat -c '%u %g' -- "$1")" = "$uid $gid" ] || chown "$uid:$gid" -- "$1" 2>/dev/null
    chmod "$mode" -- "$1" 2>/dev/null
    seconds "$mtime"
    touch -m -d "@$instant" -- "$1" 2>/dev/null
}

# Prints what an interrupted rollback by the module left below $1 in the directories of the names $2.
leftovers() {
    seen=/
    for name in . $2; do
        directory=${name%/*}
        [ "$directory" != "$name" ] || directory=.
        [ "$directory" != "$seen" ] || continue
        seen=$directory
        decode "$directory"
        for one in .sage-undo.tmp .sage-flush.tmp; do
            if [ -f "$1/$decoded/$one" ] || [ -L "$1/$decoded/$one" ]; then
                printf '%s\n' "$directory/$one"
            fi
        done
    done
}

# Moves $2 below $1 out of the way, never over another: to $3.
keep_aside() {
    decode "$2"
    exists "$1/$decoded" || return 0
    to=$3/$decoded
    copy=0
    while exists "$to"; do
        copy=$((copy + 1))
        to=$3/$decoded.$copy
    done
    (umask 077 && mkdir -p -- "${to%/*}") && mv -T -- "$1/$decoded" "$to" || fail "$1/$2 could not be kept aside."
}
"""
REMOVAL = r"""# --- What was not there before is removed: out of sight in one step, then deleted ---

removal_plan() {
    if [ -n "$recreated" ]; then
        conflicts="$conflicts$path_encoded was removed by somebody between two installations;"
        conflicts="$conflicts what was in it then was not captured$nl"
    fi
    if [ "$kind" = venv ] && [ -d "$path" ]; then
        removal_judge
    fi
    for one in "$path" "${path%/*}/.${path##*/}.sage-removed"; do
        if exists "$one"; then
            encode "$one"
            plan_remove=$plan_remove$encoded$nl
        fi
    done
}

# What is in an environment that is going to be removed, and whose it is.
removal_judge() {
    real=$(cd -- "$path" && pwd -P) || refuse "$path cannot be entered."
    sites=$(venv_sites)
    registered=$(venv_registered)
    targets=$(for one in $registered; do printf '%s -\n' "${one%% *}"; done)
    venv_judge_killed
    foreign=
    for one in $registered; do
        rest=${one#* }
        plan_erase="$plan_erase${one%% *} ${rest%% *}$nl"
        case " $brought pip setuptools wheel " in
        *" ${one%% *} "*) ;;
        *)
            foreign="$foreign${one%% *} ${rest%% *} in $path_encoded was installed by somebody else"
            foreign="$foreign and would be removed with it$nl"
            ;;
        esac
    done
    conflicts=$conflicts$foreign
    [ -z "$killed$resumed" ] || return 0
    rows=$(venv_rows)
    venv_edited ''
    for one in $edited; do
        conflicts="$conflicts$path_encoded/${one#* } was edited by somebody$nl"
    done
    [ -z "$foreign$edited" ] || return 0
    owned=$(for one in $rows; do
        one=${one#* * * }
        printf '%s\n' "${one%% *}"
    done)
    there=$(for one in $(walk "$path" .); do
        case $one in
        'd '* | */__pycache__/*) continue ;;
        'f pyvenv.cfg' | 'f .gitignore' | 'f .lock' | 'f CACHEDIR.TAG' | 'f lib64') continue ;;
        */site-packages/_virtualenv.py | */site-packages/_virtualenv.pth) continue ;;
        'f bin/'[Aa][Cc][Tt][Ii][Vv][Aa][Tt][Ee]* | 'f bin/'[Dd][Ee][Aa][Cc][Tt][Ii][Vv][Aa][Tt][Ee]*) continue ;;
        'f bin/python'* | 'f bin/pydoc'*) continue ;;
        esac
        printf '%s\n' "${one#* }"
    done | sort -u)
    for one in $(without "$there" "$owned"); do
        conflicts="$conflicts$path_encoded/$one was put there by somebody$nl"
    done
}

removal_execute() {
    hidden=${path%/*}/.${path##*/}.sage-removed
    rm -rf -- "$hidden" || fail "$hidden could not be removed."
    exists "$path" || return 0
    mv -T -- "$path" "$hidden" || fail "$path could not be moved."
    rm -rf -- "$hidden" || fail "$hidden could not be removed."
}

removal_verify() {
    for one in "$path" "${path%/*}/.${path##*/}.sage-removed"; do
        ! exists "$one" || printf '%s\n' "$one is still there"
    done
}
"""
