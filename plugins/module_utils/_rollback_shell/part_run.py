"""C(rollback.sh): the run, from its checks to its report."""

from __future__ import annotations

RUN = r"""# --- The run ---

check_state() {
    [ -d "$state" ] && [ ! -L "$state" ] || refuse "the state $state is gone." 'Restore it from a copy.'
    me=$(id -u)
    owner=$(stat -c %u -- "$state")
    [ "$owner" = "$me" ] ||
        refuse "the state $state belongs to user id $owner, and this is user id $me." 'Run as its owner.'
    mode=$(stat -c %a -- "$state")
    [ "$((0$mode & 022))" -eq 0 ] || refuse "others can write to $state." 'Find out who did what there.'
    [ -f "$state/rollback.sh" ] && [ ! -L "$state/rollback.sh" ] ||
        refuse "$state/rollback.sh is gone; this is a copy." \
            'Run the playbook once: it is written again with every rollback point.'
    [ -f "$0" ] || refuse "run it as a file: sh $state/rollback.sh"
    current=$(sha256sum <"$state/rollback.sh")
    own=$(sha256sum <"$0")
    [ "$own" = "$current" ] || refuse "$0 is not the current $state/rollback.sh." "Run sh $state/rollback.sh."
    [ ! -e "$state/lock" ] || {
        exec 9<>"$state/lock" || refuse "$state/lock cannot be opened."
        if command -v flock >/dev/null 2>&1; then
            flock -n 9 || refuse "another run holds $state/lock." 'Wait for it to end. A dead process holds no lock.'
        else
            printf 'Note: flock is missing here, so make sure that no playbook runs at the same time.\n' >&2
        fi
    }
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
    for tool in base64 cat chmod chown cp cut date id ln mkdir mv od readlink rm rmdir sha256sum sort stat sync tail \
        touch tr uniq; do
        command -v "$tool" >/dev/null 2>&1 || refuse "$tool of the coreutils is missing." 'Add it to PATH.'
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
    printf 'Rollback packages (+%s/-%s) to %s (%s)\n' "$added" "$number_of" "$when" "$tid"
    show_lines install "$plan_install"
    show_lines erase "$plan_erase"
    show_lines restore "$plan_restore"
    show_lines remove "$plan_remove"
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
    printf 'exact\n'
    printf '%s\n' 'Run the playbook status/rollback again to record it:' \
        '"sage_rollback to=last" then finds everything as captured.'
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
