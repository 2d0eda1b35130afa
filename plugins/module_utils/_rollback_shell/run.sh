# shellcheck shell=sh disable=SC2034,SC2154,SC2317,SC2329
# The run, from the options to the report. The script sets: each_resource, and what stands at its top. Needs answers.sh
# names.sh state.sh writing.sh.

# --- The run ---

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
    [ -n "$plan_install$plan_erase$plan_restore$plan_remove" ] || printf 'Everything is as it was captured.\n'
    if [ -n "$dry" ]; then
        [ -z "$closed" ] || printf 'Note: %s is read-only, so nothing of this could be done now.\n' "$closed"
        exit 0
    fi
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
