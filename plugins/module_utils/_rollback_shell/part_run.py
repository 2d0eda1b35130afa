"""C(rollback.sh): the run, from its checks to its report."""

from __future__ import annotations

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
        # Without "command" a shell ends at once, in its own words. What cannot be written can be locked all the same.
        { command exec 9<>"$state/lock" || command exec 9<"$state/lock"; } 2>/dev/null ||
            refuse "$state/lock cannot be opened." "Look who made it so: ls -l '$state/lock'"
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
        notes=${was#*"$nl"}
        [ "$notes" != "$was" ] || notes=
        was=${was%%"$nl"*}
        case $was in
        "$generation "*)
            resumed=1
            case $was in
            *' force'*) force=1 ;;
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
            exit "$ended_refused"
            ;;
        esac
    done
    for tool in cat chmod chown cp cut date id ln mkdir mkfifo mv od readlink rm rmdir sha256sum sort stat sync \
        tee touch tr uniq; do
        command -v "$tool" >/dev/null 2>&1 ||
            refuse "$tool of the coreutils is missing." "Install it in a directory of $PATH."
    done
    # Tools that know no parts of a second.
    case $(stat -c %.9Y /) in
    *.*) coarse='' mtime=%.9Y ctime=%.9Z ;;
    *)
        coarse=1 mtime=%Y ctime=%Z
        printf 'Note: the tools here know no parts of a second, so times are compared without them.\n' >&2
        ;;
    esac
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
    if [ -n "$living" ]; then
        printf 'Left alone, for somebody goes on writing to it and nobody owns it:\n'
        show_lines '' "$living"
    fi
    look_whether_closed "$state"
    if [ -n "$dry" ]; then
        [ -z "$closed" ] || printf 'Note: %s is read-only, so nothing of this could be done now.\n' "$closed"
        exit 0
    fi
    [ -n "$plan_install$plan_erase$plan_restore$plan_remove" ] || printf 'Everything is as it was captured.\n'
    [ -z "$closed" ] || refuse_unwritable "$closed" 'Read-only file system'
    if [ -n "$plan_install$plan_erase$plan_restore$plan_remove" ]; then
        confirm
        # What a run that follows an interrupted one has to know.
        trouble=$(write_lines "$begun" "$generation ${force:+force}" ${resumed:+"$notes"}) ||
            refuse_unwritable "$begun" "$trouble"
        changing=1
        each_resource execute
        sync
    fi
    differences=$(each_resource verify) || fail 'what was done could not be verified.'
    outcome=exact
    [ -z "$missing" ] || outcome=partial
    [ -z "$differences" ] || outcome=differs
    trouble=$(write_lines "$state/rollback.done" "tid: $tid" "generation: $generation" \
        "time: $(date -u +%Y-%m-%dT%H:%M:%SZ)" "outcome: $outcome") ||
        refuse_unwritable "$state/rollback.done" "$trouble"
    if [ -n "$differences" ]; then
        printf 'After the rollback this differs from what was captured:\n' >&2
        show_lines '' "$differences" >&2
        printf 'What to do: mend what is named, then run the same command again.\n' >&2
        exit "$ended_badly"
    fi
    rm -rf -- "$begun" "$state/rollback.time" "$state/rollback.stage"
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
    [ -t 0 ] || {
        printf 'Not confirmed: there is no terminal to ask at.\n' >&2
        untouched "$ended_unconfirmed" 'Run with --yes, or look first with --dry-run.'
    }
    printf 'Roll back? [y/N] '
    answer=
    read -r answer || :
    case $answer in
    y | Y | yes | YES) ;;
    *)
        untouched "$ended_unconfirmed" ''
        ;;
    esac
}
"""
