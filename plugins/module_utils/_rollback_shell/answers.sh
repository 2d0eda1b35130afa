# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# How the script ends before it has done its work: usage, refusals, interruptions. Needs names.sh.

usage() {
    printf '%s\n' 'Usage: sh rollback.sh [--dry-run] [--yes] [--force]' \
        '  --dry-run  show what would be done, do nothing' \
        '  --yes      do not ask' \
        '  --force    take the captured side where somebody changed things since; edited files are kept aside' \
        'Ends with 0: done; 1: something differs, or it was interrupted: run it again;' \
        '          2: refused, nothing was touched; 3: not confirmed, nothing was touched.'
}

# Ends without having touched anything: what is wrong, what to do.
refuse() {
    [ -z "$changing" ] || fail "$1"
    show "$1"
    printf 'Refused: %s\n' "$shown" >&2
    untouched "$ended_refused" "${2-}"
}

# Ends with the status $1, and says what to do, $2.
untouched() {
    [ -z "$2" ] || printf 'What to do: %s\n' "$2" >&2
    printf 'Nothing was touched.\n' >&2
    exit "$1"
}

# Ends in the middle of the work.
fail() {
    printf 'The rollback was interrupted: %s\n' "$1" >&2
    printf 'What to do: mend that, then run the same command again: it continues.\n' >&2
    exit "$ended_badly"
}

stopped() {
    if [ -n "$changing" ]; then
        fail 'a signal came.'
    fi
    printf 'Stopped.\n' >&2
    untouched "$ended_refused" ''
}

exists() { [ -e "$1" ] || [ -L "$1" ]; }
