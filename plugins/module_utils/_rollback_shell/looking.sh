# shellcheck shell=sh disable=SC2015,SC2154,SC2317,SC2329
# Looking at what is there, and at the store. The script sets: layer, store. Needs answers.sh names.sh.

# --- Looking ---

# Prints the SHA-256 of each of the files "$@".
hashes() {
    # A name with a backslash or newline has a backslash before the hash.
    sha256sum -- "$@" 2>/dev/null | tr -d "\134" | cut -c 1-64
}

# Prints "type name" of all below the directory $2 of $1; $2 may be "." and is not encoded.
walk() {
    set +f
    top=$1
    set -- "$2"
    while [ "$#" -gt 0 ]; do
        directory=$1
        shift
        for entry in "$top/$directory"/* "$top/$directory"/.[!.]* "$top/$directory"/..?*; do
            below=$directory/${entry##*/}
            below=${below#./}
            if [ -d "$entry" ] && [ ! -L "$entry" ]; then
                letter=d
                set -- "$@" "$below"
            elif exists "$entry"; then
                letter=f
            else
                continue
            fi
            encode "$below"
            printf '%s %s\n' "$letter" "$encoded"
        done
    done
    set -f
}

# Refuses when a directory above $1 is a link of somebody else.
trusted_above() {
    step=
    rest=${1%/*}
    rest=${rest#/}/
    while [ -n "$rest" ]; do
        step=$step/${rest%%/*}
        rest=${rest#*/}
        [ -L "$step" ] || continue
        owner=$(stat -c %u -- "$step")
        [ "$owner" = 0 ] || [ "$owner" = "$me" ] ||
            refuse "$step is a symbolic link of user id $owner." 'Find out who made it and remove it, then run again.'
    done
}

# Refuses unless a capture is in the store, and its description is what was captured.
check_layer() {
    layer "$1"
    for directory in "$store" "${point%/*}" "$point" "$point/$number"; do
        [ -d "$directory" ] && [ ! -L "$directory" ] ||
            refuse "the captured content $directory is gone." "$restore_store"
    done
    sum_of "$point/$number.json" "$header_sum" ||
        refuse "$point/$number.json is not what was captured." "$restore_store"
}
