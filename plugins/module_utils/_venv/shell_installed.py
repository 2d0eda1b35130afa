"""C(rollback.sh): what is registered in a virtual environment."""

from __future__ import annotations

VENV = r"""# --- Virtual environments ---

venv_sites() {
    set +f
    for site in "$path"/lib/python3.*/site-packages "$path"/lib64/python3.*/site-packages; do
        above=${site%/*}
        [ -d "$site" ] && [ ! -L "$site" ] && [ ! -L "$above" ] && [ ! -L "${above%/*}" ] || continue
        case ${above##*/python3.} in
        *[!0-9t]*) ;;
        *) printf '%s\n' "${site#"$path/"}" ;;
        esac
    done
}

# Prints "canonical-name version canonical-version dist-info" of each registered distribution.
venv_registered() {
    infos=$(
        set +f
        for site in $sites; do
            for info in "$path/$site"/*.dist-info; do
                # pip renames what it removes to ~ame.
                case ${info##*/} in
                '~'*) continue ;;
                esac
                if [ -d "$info" ] && [ ! -L "$info" ]; then
                    encode "$site/${info##*/}"
                    printf '%s\n' "$encoded"
                fi
            done
        done
    )
    split_infos=$(for info in $infos; do
        info=${info##*/}
        printf '%s\n' "${info%.dist-info}"
    done)
    projects=$(for one in $split_infos; do printf '%s\n' "${one%%-*}"; done | tr 'A-Z_.' 'a-z--' | tr -s -)
    versions=$(for one in $split_infos; do printf '%s\n' "${one#*-}"; done | tr 'A-Z_' 'a-z-')
    for info in $infos; do
        one=${split_infos%%"$nl"*}
        split_infos=${split_infos#*"$nl"}
        printf '%s %s %s %s\n' "${projects%%"$nl"*}" "${one#*-}" "${versions%%"$nl"*}" "$info"
        projects=${projects#*"$nl"}
        versions=${versions#*"$nl"}
    done
}

# Sets normal: what a RECORD in $2 calls $1, below the environment. Fails for what lies outside.
normalise() {
    case $1 in
    /*)
        case $1 in
        "$real"/*) normal=${1#"$real/"} ;;
        *) return 1 ;;
        esac
        ;;
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

# Prints "digest size name" of what the RECORD in the .dist-info $1 lists; "-" for what it does not say.
record_rows() {
    site=${1%/*}
    decode "$1"
    for line in $(cat -- "$path/$decoded/RECORD"); do
        line=${line%"$return"}
        case $line in
        '"'*)
            # A quoted name; a quote in it is doubled.
            rest=${line#?}
            row=
            while :; do
                row=$row${rest%%'"'*}
                case $rest in
                *'"'*) rest=${rest#*'"'} ;;
                *) rest= ;;
                esac
                case $rest in
                '"'*)
                    row=$row'"'
                    rest=${rest#?}
                    ;;
                *) break ;;
                esac
            done
            rest=${rest#,}
            ;;
        *,*)
            row=${line%%,*}
            rest=${line#*,}
            ;;
        *)
            row=$line
            rest=
            ;;
        esac
        case $row in
        '' | *__pycache__/*) continue ;;
        esac
        digest=${rest%%,*}
        size=${rest#*,}
        normalise "$row" "$site" || continue
        encode "$normal"
        case $digest in
        sha256=*) digest=${digest#sha256=} ;;
        *) digest=- ;;
        esac
        digest=${digest%=}
        case $digest in
        *[!A-Za-z0-9_-]*) digest=- ;;
        esac
        [ "${#digest}" -eq 43 ] || digest=-
        case $size in
        '' | *[!0-9]*) size=- ;;
        esac
        printf '%s %s %s\n' "$digest" "$size" "$encoded"
    done
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

# Prints "section digest size name dist-info" of all that the registered targets list now.
venv_rows() {
    for one in $registered; do
        project=${one%% *}
        info=${one##* }
        case "$nl$targets" in
        *"$nl$project "*) ;;
        *) continue ;;
        esac
        decode "$info"
        if [ ! -f "$path/$decoded/RECORD" ] && [ -n "$killed" ]; then
            # An installer was killed: what it left is put aside with all other litter.
            continue
        fi
        if [ -f "$path/$decoded/RECORD" ]; then
            for row in $(record_rows "$info"); do
                printf '%s %s %s\n' "$project" "$row" "$info"
            done
        fi
        decode "$info"
        for row in $(walk "$path" "$decoded"); do
            [ "${row%% *}" = d ] || printf '%s - - %s %s\n' "$project" "${row#* }" "$info"
        done
    done
}

# Prints the names in the RECORDs of distributions that stay.
venv_others() {
    for one in $registered; do
        case "$nl$targets" in
        *"$nl${one%% *} "*) ;;
        *) printf '%s\n' "${one##* }" ;;
        esac
    done
}

venv_owned() {
    for one in $(venv_others); do
        decode "$one"
        [ -f "$path/$decoded/RECORD" ] || continue
        for line in $(cut -d , -f 1 -- "$path/$decoded/RECORD" | tr -d '"\r'); do
            normalise "$line" "${one%/*}" || continue
            encode "$normal"
            printf '%s\n' "$encoded"
        done
    done
}

"""
