# shellcheck shell=sh disable=SC2015,SC2034,SC2154,SC2317,SC2329,SC3013
# Whose state it is, who else can write to it, the lock, and what a run before has left. Needs answers.sh lease.sh.

# --- Whose state it is, and who is at work on it ---

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
