# shellcheck shell=sh disable=SC2015,SC2034,SC2154,SC2317,SC2329
# What is installed in an environment, by its metadata. The script sets: path, path_encoded. Needs names.sh.

# --- Virtual environments ---

# Prints the directories of metadata below the environment, encoded.
venv_infos() {
    set +f
    for entry in "$path"/lib*/python*/site-packages/*.dist-info; do
        case $entry in
        "$path"/lib64/*) [ ! -L "$path/lib64" ] || continue ;;
        esac
        [ -d "$entry" ] && [ ! -L "$entry" ] || continue
        case ${entry##*/} in
        # pip renames what it removes to ~ame.
        '~'*) continue ;;
        esac
        encode "${entry#"$path/"}"
        printf '%s\n' "$encoded"
    done
    set -f
}

# Sets project and version: of the directory of metadata $1.
venv_name() {
    version=${1##*/}
    version=${version%.dist-info}
    project=$(printf '%s' "${version%%-*}" | tr 'A-Z_.' 'a-z--' | tr -s -)
    version=${version#*-}
}

# Prints the paths that the RECORD in the directory of metadata $1 lists, as the list has them. Names with a comma or a
# quote are passed over: these files then stay where they are.
venv_rows() {
    decode "$1"
    site=${1%/*}
    for row in $(cut -d , -f 1 -- "$path/$decoded/RECORD" | tr -d '\r'); do
        case $row in
        '"'* | *__pycache__/*) continue ;;
        esac
        normalise "$row" "$site" || continue
        encode "$normal"
        printf '%s/%s\n' "$path_encoded" "$encoded"
    done
}

# Sets normal: what a RECORD in the directory $2 calls $1, below the environment. Fails for what lies outside.
normalise() {
    case $1 in
    "$path"/*) normal=${1#"$path/"} ;;
    /*) return 1 ;;
    *) normal=$2/$1 ;;
    esac
    case $normal in
    */./* | */../* | *//* | ../* | ./* | */.. | */.) ;;
    *) return 0 ;;
    esac
    rest=$normal/
    normal=
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        rest=${rest#*/}
        case $part in
        '' | .) ;;
        ..)
            [ -n "$normal" ] || return 1
            case $normal in
            */*) normal=${normal%/*} ;;
            *) normal= ;;
            esac
            ;;
        *) normal=${normal:+$normal/}$part ;;
        esac
    done
    [ -n "$normal" ]
}
