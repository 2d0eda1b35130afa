# shellcheck shell=sh disable=SC2015,SC2154,SC2317,SC2329
# The kind toy of the tests. The script sets: path, release, layers. Needs looking.sh, names.sh.

# --- Links that name a release ---

toy_check() {
    for id in $layers; do
        check_layer "$id"
    done
}

toy_plan() {
    decode "$release"
    [ "$(readlink -- "$path")" = "$decoded" ] || plan_restore="$plan_restore$path_encoded to $release$nl"
}

toy_execute() {
    decode "$release"
    ln -s -- "$decoded" "$path.new" && mv -fT -- "$path.new" "$path" || fail "$path could not be replaced."
}

toy_verify() {
    decode "$release"
    [ "$(readlink -- "$path")" = "$decoded" ] || printf '%s is another\n' "$path_encoded"
}
