# shellcheck shell=sh disable=SC2013,SC2015,SC2034,SC2154,SC2317,SC2329
# What goes, what is put back, and the look at it afterwards. Needs answers.sh names.sh paths.sh paths_judge.sh. If a
# change was interrupted, paths_unsettled.sh.

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
    touched=$list
    [ -z "$unsettled" ] || touched=$list$nl$(unsettled_list)
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
