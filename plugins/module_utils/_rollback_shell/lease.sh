# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# Whether another run is at work. The state is set in the script. Needs answers.sh names.sh.

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
