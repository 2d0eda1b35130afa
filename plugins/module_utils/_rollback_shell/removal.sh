# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# The removal of what was not there before. The script sets: path, path_encoded, recreated. Needs answers.sh names.sh
# writing.sh.

# --- What was not there before goes as a whole: out of sight in one step ---

removal_plan() {
    if [ -n "$recreated" ]; then
        conflicts="$conflicts$path_encoded was removed by somebody between two installations;"
        conflicts="$conflicts what was in it then was not captured$nl"
    fi
    for one in "$path" "${path%/*}/.${path##*/}.sage-removed"; do
        if exists "$one"; then
            look_whether_closed "${path%/*}"
            encode "$one"
            plan_remove=$plan_remove$encoded$nl
        fi
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
