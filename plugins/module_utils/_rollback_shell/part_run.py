"""C(rollback.sh): putting files back and moving others out of the way; the run, from its checks to its report."""

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

RUN = r"""# --- The run ---

# Whether others than its owner can write to the directory $1; the modules judge alike.
shared() {
    mode=$(stat -c %a -- "$1")
    [ "$((0$mode & 02))" -eq 0 ] || return 0
    [ "$((0$mode & 020))" -ne 0 ] || return 1
    # A user's own group is the user's affair.
    [ "$me" = 0 ] || return 1
    case $(ls -ld -- "$1") in
    ??????????+*) return 0 ;;
    esac
    group=$(stat -c %g -- "$1")
    members=$(getent group "$group") && accounts=$(getent passwd) || return 0
    for account in $accounts; do
        IFS=:
        # shellcheck disable=SC2086  # set -f is on
        set -- $account
        IFS=$nl
        [ "$3" = 0 ] || [ "$4" != "$group" ] || return 0
    done
    for member in $(printf '%s\n' "${members##*:}" | tr , '\n'); do
        [ "$(id -u -- "$member" 2>/dev/null)" = 0 ] || return 0
    done
    return 1
}

# Puts a field of the lease into $field, which is empty where there is no such field.
lease_field() {
    field=
    rest=${lease#*"\"$1\": "}
    [ "$rest" != "$lease" ] || return 0
    case $rest in
    '"'*)
        rest=${rest#?}
        field=${rest%%'"'*}
        ;;
    *) field=${rest%%[,\}]*} ;;
    esac
}

# Prints the ids of the processes that the run $1 has on this host.
processes_of() {
    set +f
    set -- "$1" /proc/[0-9]*
    set -f
    run=$1
    shift
    for process in "$@"; do
        case "$nl$(tr '\0' '\n' 2>/dev/null <"$process/environ")$nl" in
        *"${nl}SAGE_RUN=$run$nl"*) printf '%s ' "${process#/proc/}" ;;
        esac
    done 2>/dev/null
}

# Whether the process of the run that has the lease is known to be gone: it was one of this machine, in this boot.
is_dead() {
    lease_field pid_namespace
    [ -n "$field" ] || return 1
    list_of=$field
    namespace=$(readlink /proc/self/ns/pid) && boot=$(cat /proc/sys/kernel/random/boot_id) || return 1
    here=
    if [ "${#id}" -eq 32 ]; then
        here=$(printf 'intellistream.sage:%s' "$id" | sha256sum | cut -c 1-32)
    fi
    here=$(printf '%s %s %s' "$here" "$boot" "$namespace" | sha256sum | cut -c 1-32)
    [ "$here" = "$list_of" ] || return 1
    lease_field pid
    stat_of=$(cat "/proc/$field/stat" 2>/dev/null) || return 0
    # The name may have spaces and parentheses.
    stat_of=${stat_of##*) }
    case $stat_of in [ZX]*) return 0 ;; esac
    lease_field started
    [ "$(printf '%s' "$stat_of" | cut -d ' ' -f 20)" != "$field" ]
}

# Refuses while another run is at work, as the modules do.
check_lease() {
    [ -f "$state/lease.json" ] && [ ! -L "$state/lease.json" ] || return 0
    lease=$(cat -- "$state/lease.json")
    lease_field held
    [ "$field" = true ] || return 0
    lease_field run
    holder=$field
    [ "${SAGE_RUN-}" != "$holder" ] || return 0
    lease_field wall
    silent=$(($(date +%s) - ${field%%.*}))
    # Calls of the run that know nothing of the record touch it.
    touched=$(($(date +%s) - $(date -r "$state/lease.json" +%s)))
    [ "$touched" -lt 0 ] || [ "$touched" -gt "$silent" ] || silent=$touched
    lease_field seconds
    longest=${field%%.*}
    at_work=
    if is_dead; then
        at_work=$(processes_of "$holder")
        [ -n "$at_work" ] || return 0
        refuse "the run $holder is gone, and has left processes at work: $at_work" "End them: kill -9 $at_work"
    elif [ "$silent" -gt "$longest" ]; then
        at_work=$(processes_of "$holder")
        [ -n "$at_work" ] || return 0
        at_work=" It has processes at work here: $at_work"
    fi
    lease_field user
    who=$field
    lease_field controller
    who="${who:-somebody} on ${field:-another controller}"
    lease_field since
    refuse "$who has a run at work here since ${field%%.*} (run $holder, last call $silent s ago).$at_work" \
        "Wait for it to end, or end its ansible-playbook. It counts as dead $longest s after its last call."
}

check_state() {
    [ -d "$state" ] && [ ! -L "$state" ] || refuse "the state $state is gone." \
        'Restore it from a copy. If it was moved, run the playbook first, with its new place as sage_root.'
    id=$(cat /etc/machine-id 2>/dev/null)
    case $id in
    # As the modules: what is no id, such as "uninitialized", tells no machine from another.
    *[!0-9a-f]*) id= ;;
    esac
    if [ -n "$machine" ] && [ "${#id}" -eq 32 ]; then
        here=$(printf 'intellistream.sage:%s' "$id" | sha256sum)
        case $here in
        "$machine"*) ;;
        *) refuse "what was captured in $state is of another machine." 'Run it there.' ;;
        esac
    fi
    me=$(id -u)
    owner=$(stat -c %u -- "$state")
    [ "$owner" = "$me" ] ||
        refuse "the state $state belongs to user id $owner, and this is user id $me." \
            "Run as its owner, $(id -un -- "$owner" 2>/dev/null || printf '%s' "user id $owner")."
    ! shared "$state" || refuse "others can write to $state." \
        "Find out who did what there. Then take that right from them: chmod go-w '$state'"
    [ -f "$state/rollback.sh" ] && [ ! -L "$state/rollback.sh" ] ||
        refuse "$state/rollback.sh is gone; this is a copy." \
            'Run the playbook once: it is written again with every rollback point.'
    [ -f "$0" ] || refuse "run it as a file: sh $state/rollback.sh"
    current=$(sha256sum <"$state/rollback.sh")
    own=$(sha256sum <"$0")
    [ "$own" = "$current" ] || refuse "$0 is not the current $state/rollback.sh." "Run sh $state/rollback.sh."
    [ "$0" -ef "$state/rollback.sh" ] ||
        refuse "$0 is a copy, and would change the original, which is about $state." \
            "To do that, run sh $state/rollback.sh."
    [ ! -e "$state/lock" ] || {
        exec 9<>"$state/lock" || refuse "$state/lock cannot be opened."
        if command -v flock >/dev/null 2>&1; then
            flock -n 9 || refuse "another run holds $state/lock." 'Wait for it to end. A dead process holds no lock.'
        else
            printf 'Note: flock is missing here, so make sure that no playbook runs at the same time.\n' >&2
        fi
    }
    check_lease
    begun=$state/rollback.begun
    if [ -f "$begun" ] && [ ! -L "$begun" ]; then
        was=$(cat -- "$begun")
        case $was in
        "$generation "*)
            resumed=1
            case $was in
            *' force'*) force=1 ;;
            esac
            case $was in
            *' killed'*) resumed_killed=1 ;;
            esac
            ;;
        esac
    fi
}

show_lines() {
    for line in $2; do
        show "$line"
        printf '  %-8s %s\n' "$1" "$shown"
    done
}

main() {
    for option in "$@"; do
        case $option in
        --dry-run) dry=1 ;;
        --yes) yes=1 ;;
        --force) force=1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
        esac
    done
    for tool in base64 cat chmod chown cp cut date id ln mkdir mkfifo mv od readlink rm rmdir sha256sum sort stat sync \
        tail touch tr uniq; do
        command -v "$tool" >/dev/null 2>&1 ||
            refuse "$tool of the coreutils is missing." "Install it in a directory of $PATH."
    done
    check_state
    [ -z "$unsupported" ] || refuse "$unsupported" "$otherwise"
    if [ -z "$any" ]; then
        printf 'There is nothing to roll back.\n'
        exit 0
    fi
    trap stopped HUP INT TERM
    each_resource check
    each_resource plan
    count "$plan_install"
    added=$number_of
    count "$plan_erase"
    if [ -n "$plan_install$plan_erase" ]; then
        printf 'Rollback packages (+%s/-%s) to %s (%s)\n' "$added" "$number_of" "$when" "$tid"
    elif [ -n "$plan_restore$plan_remove" ]; then
        count "$plan_restore"
        added=$number_of
        count "$plan_remove"
        printf 'Rollback files (%s restored, %s removed) to %s (%s)\n' "$added" "$number_of" "$when" "$tid"
    fi
    show_lines install "$plan_install"
    show_lines erase "$plan_erase"
    show_lines restore "$plan_restore"
    show_lines remove "$plan_remove"
    [ -z "$missing" ] || printf 'Not all of it: %s\n' "$missing"
    if [ -n "$conflicts" ]; then
        show_lines conflict "$conflicts"
        [ -n "$force" ] || refuse 'somebody changed what the rollback would overwrite.' \
            'Save what you need. Then run with --force: it takes the captured side and keeps edited files aside.'
    fi
    [ -z "$dry" ] || exit 0
    if [ -z "$plan_install$plan_erase$plan_restore$plan_remove" ]; then
        printf 'Everything is as it was captured.\n'
    else
        confirm
        # What a run that follows an interrupted one has to know.
        printf '%s %s %s\n' "$generation" "${force:+force}" "${resumed_killed:+killed}$any_killed" >"$begun.tmp" &&
            mv -fT -- "$begun.tmp" "$begun" ||
            refuse "$begun cannot be written."
        changing=1
        each_resource execute
        sync
    fi
    differences=$(each_resource verify
    for one in $erased; do
        decode "$one"
        ! exists "$decoded" || printf '%s is still there\n' "$one"
    done) || fail 'what was done could not be verified.'
    outcome=exact
    [ -z "$missing" ] || outcome=partial
    [ -z "$differences" ] || outcome=differs
    printf '%s\n' "tid: $tid" "generation: $generation" "time: $(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        "outcome: $outcome" >"$state/rollback.done.tmp" &&
        mv -fT -- "$state/rollback.done.tmp" "$state/rollback.done" ||
            fail "$state/rollback.done could not be written."
    if [ -n "$differences" ]; then
        printf 'After the rollback this differs from what was captured:\n' >&2
        show_lines '' "$differences" >&2
        printf 'What to do: mend what is named, then run the same command again.\n' >&2
        exit 1
    fi
    rm -rf -- "$begun" "$state/rollback.stage"
    printf '%s\n' "$outcome"
    if [ -n "$missing" ]; then
        printf 'What is left: %s\n%s\n' "$missing" "$otherwise"
        printf 'That also records what was done here.\n'
    else
        printf 'Record it with Ansible, which then finds everything as captured:\n%s\n' "$command"
    fi
}

confirm() {
    [ -z "$yes" ] || return 0
    [ -t 0 ] || refuse 'there is no terminal to ask at.' 'Run with --yes, or look first with --dry-run.'
    printf 'Roll back? [y/N] '
    answer=
    read -r answer || :
    case $answer in
    y | Y | yes | YES) ;;
    *)
        printf 'Nothing was touched.\n'
        exit 3
        ;;
    esac
}
"""
