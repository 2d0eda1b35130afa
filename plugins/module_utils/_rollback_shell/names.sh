# shellcheck shell=sh disable=SC2034,SC2154,SC2317,SC2329
# Names as the store writes them, hashes, lines.

# --- Names: as the store writes them, and as they are ---

# Sets shown: a name for people; control characters stay escaped.
show() {
    shown=$1
    while :; do
        case $shown in
        *'\0040'*) shown=${shown%%'\0040'*}' '${shown#*'\0040'} ;;
        *) return ;;
        esac
    done
}

# Sets decoded.
decode() {
    decoded=$1
    case $decoded in
    *\\*) ;;
    *) return ;;
    esac
    show "$decoded"
    decoded=$shown
    case $decoded in
    *\\*)
        decoded=$(printf '%bx' "$decoded")
        decoded=${decoded%x}
        ;;
    esac
}

# Sets encoded.
encode() {
    encoded=$1
    case $encoded in
    - | *["$odd"]*) ;;
    *) return ;;
    esac
    if [ "$encoded" = - ]; then
        encoded='\0055'
        return
    fi
    encoded=
    for octal in $(printf '%s' "$1" | od -An -v -to1 -w1); do
        octal=${octal#"${octal%???}"}
        case $octal in
        0[0-3]? | 040 | 134 | 177) encoded="$encoded\\\\0$octal" ;;
        *) encoded="$encoded\\0$octal" ;;
        esac
    done
    encoded=$(printf '%b' "$encoded")
}

# Sets instant: nanoseconds as stat and touch have them.
seconds() {
    instant=$1
    case $instant in
    -*)
        instant=${instant#-}
        sign=-
        ;;
    *) sign= ;;
    esac
    while [ "${#instant}" -lt 10 ]; do
        instant=0$instant
    done
    instant=$sign${instant%?????????}.${instant#"${instant%?????????}"}
}

sum_of() {
    sum=$(sha256sum <"$1") || return 1
    [ "${sum%% *}" = "$2" ]
}

# Prints the lines of $1 that are not in $2.
without() {
    printf '%s\n' "$1" "$2" "$2" | sort | uniq -u
}

count() {
    number_of=0
    for one in $1; do
        number_of=$((number_of + 1))
    done
}
