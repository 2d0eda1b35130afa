"""C(rollback.sh): what people and killed installers did to a virtual environment."""

from __future__ import annotations

VENV_EDITS = r"""# Prints "hash name" of rows, in hex as sha256sum has it.
venv_claims() {
    rows_with_digest=$(for line in $1; do
        IFS=' '
        # shellcheck disable=SC2086  # five fields without other white space
        set -- $line
        IFS=$nl
        [ "$2" = - ] || printf '%s %s\n' "$2" "$4"
    done)
    hashes=$(for line in $rows_with_digest; do
        printf '%s=\n' "${line%% *}"
    done | tr -- -_ +/ | base64 -d | od -An -v -tx1 -w32 | tr -d ' ')
    for line in $rows_with_digest; do
        printf '%s %s\n' "${hashes%%"$nl"*}" "${line#* }"
        hashes=${hashes#*"$nl"}
    done
}

# Prints "hash name" of live files that look edited: of another size than RECORD says, or newer than RECORD.
venv_suspects() {
    names='' last=''
    set --
    for line in $rows; do
        rest=${line#* }
        digest=${rest%% *}
        rest=${rest#* }
        [ "$digest" != - ] || continue
        size=${rest%% *}
        rest=${rest#* }
        name=${rest%% *}
        info=${rest#* }
        if [ "$info" != "$last" ]; then
            last=$info
            decode "$info"
            installed=$(stat -c %.9Y -- "$path/$decoded/RECORD")
            installed=${installed%.*}${installed#*.}
        fi
        decode "$name"
        [ -f "$path/$decoded" ] && [ ! -L "$path/$decoded" ] || continue
        set -- "$@" "$path/$decoded"
        names="$names$size $installed $name$nl"
        if [ "$#" -ge 128 ]; then
            venv_suspects_batch "$@"
            names=
            set --
        fi
    done
    [ "$#" -eq 0 ] || venv_suspects_batch "$@"
}

venv_suspects_batch() {
    found=$(stat --printf '%s %.9Y\n' -- "$@")$nl
    suspects=
    for one in $names; do
        fact=${found%%"$nl"*}
        found=${found#*"$nl"}
        here=$1
        shift
        written=${fact#* }
        written=${written%.*}${written#*.}
        size=${one%% *}
        one=${one#* }
        if [ "$size" != "${fact%% *}" ] || [ "$written" -gt "${one%% *}" ]; then
            suspects=$suspects${one#* }$nl
            set -- "$@" "$here"
        fi
    done
    [ "$#" -gt 0 ] || return 0
    # shellcheck disable=SC2046  # a line is a hash
    set -- $(hashes "$@")
    for one in $suspects; do
        printf '%s %s\n' "${1--}" "$one"
        [ "$#" -eq 0 ] || shift
    done
}

# Prints what came after the capture and belongs to nobody, once an installer was killed.
venv_litter() {
    known=$(printf '%s\n' "$1" && venv_owned)
    bin=
    [ ! -d "$path/bin" ] || [ -L "$path/bin" ] || bin=bin
    candidates=$(for place in $sites $bin; do
        walk "$path" "$place"
    done | sort -u)
    set +f
    for place in $sites $bin; do
        for entry in "$path/$place"/'~'*; do
            exists "$entry" || continue
            encode "$place/${entry##*/}"
            ! recent "$entry" || printf 'f %s\n' "$encoded"
        done
    done
    set -f
    names=$(for one in $candidates; do
        case /${one#* }/ in
        */site-packages/'~'* | */bin/'~'* | */__pycache__/*) continue ;;
        esac
        [ "${one%% *}" = d ] || printf '%s\n' "${one#* }"
    done)
    for one in $(without "$(printf '%s\n' "$names" | sort -u)" "$known"); do
        decode "$one"
        ! recent "$path/$decoded" || printf 'f %s\n' "$one"
    done
    for one in $candidates; do
        case /${one#* }/ in
        */site-packages/'~'* | */bin/'~'* | */__pycache__/*) continue ;;
        esac
        [ "${one%% *}" = d ] || continue
        decode "${one#* }"
        ! recent "$path/$decoded" || printf 'd %s\n' "${one#* }"
    done
}

# Whether $1 changed since the newest capture.
recent() {
    changed=$(stat -c %.9Z -- "$1") || return 1
    changed=${changed%.*}${changed#*.}
    [ "$changed" -ge "$since" ]
}

venv_killed() {
    for one in $registered; do
        case "$nl$targets" in
        *"$nl${one%% *} "*) ;;
        *) continue ;;
        esac
        decode "${one##* }"
        [ -f "$path/$decoded/RECORD" ] || return 0
    done
    set +f
    for one in $sites bin; do
        for entry in "$path/$one"/'~'*; do
            if exists "$entry" && recent "$entry"; then
                set -f
                return 0
            fi
        done
    done
    set -f
    return 1
}

# Sets killed: an installer was killed in here after the newest capture.
venv_judge_killed() {
    killed=
    if [ -n "$resumed" ]; then
        # The rollback that was interrupted left traces of its own.
        killed=$resumed_killed
    elif venv_killed; then
        killed=1 any_killed=killed
    fi
}

# Sets edited: "hash name" of files in rows that nothing explains, neither a RECORD nor the lines $1.
venv_edited() {
    edited=
    suspects=$(venv_suspects)
    [ -z "$suspects" ] || edited=$(without "$(printf '%s\n' "$suspects" | sort -u)" "$1$nl$(venv_claims "$rows")")
}

# Prints "mode name" of directories that have another mode than captured.
venv_modes() {
    names=
    set --
    for one in $dirs; do
        decode "${one#* }"
        [ -d "$path/$decoded" ] && [ ! -L "$path/$decoded" ] || continue
        set -- "$@" "$path/$decoded"
        names=$names$one$nl
        if [ "$#" -ge 128 ]; then
            venv_modes_batch "$@"
            names=
            set --
        fi
    done
    [ "$#" -eq 0 ] || venv_modes_batch "$@"
}

venv_modes_batch() {
    found=$(stat --printf '%04a\n' -- "$@")$nl
    for one in $names; do
        [ "${found%%"$nl"*}" = "${one%% *}" ] || printf '%s\n' "$one"
        found=${found#*"$nl"}
    done
}

venv_mend_modes() {
    modes=$(venv_modes)
    for mode in $(for one in $modes; do printf '%s\n' "${one%% *}"; done | sort -u); do
        set --
        for one in $modes; do
            [ "${one%% *}" = "$mode" ] || continue
            decode "${one#* }"
            set -- "$@" "$path/$decoded"
            if [ "$#" -ge 128 ]; then
                chmod "$mode" -- "$@"
                set --
            fi
        done
        [ "$#" -eq 0 ] || chmod "$mode" -- "$@"
    done
}

# Prints the "name" of each directory above the names $1.
above_all() {
    seen=
    for name in $1; do
        directory=${name%/*}
        [ "$directory" != "$name" ] || continue
        [ "$directory" != "$seen" ] || continue
        seen=$directory
        while :; do
            printf '%s\n' "$directory"
            case $directory in
            */*) directory=${directory%/*} ;;
            *) break ;;
            esac
        done
    done
}

# Removes byte code of the sources $1, while they still tell whose it is.
venv_remove_code() {
    base=$path
    code=$(
        set +f
        for name in $1; do
            case $name in
            */*.py | */*.pyc) ;;
            *) continue ;;
            esac
            decode "${name%/*}"
            cache=$path/$decoded/__pycache__
            decode "${name##*/}"
            for entry in "$cache/${decoded%.*}".*; do
                case $entry in
                *.pyc | *.pyo)
                    if exists "$entry"; then
                        encode "${entry#"$path/"}"
                        printf '%s\n' "$encoded"
                    fi
                    ;;
                esac
            done
        done
    )
    no_links "$path" "$code"
    remove_files "$path" "$code"
}

# Removes directories that became empty above the names $1 and among $2.
venv_tidy() {
    touched=$({
        above_all "$1"
        [ -z "$2" ] || printf '%s\n' "$2"
    } | sort -ru)
    kept=$(for one in $dirs; do printf '%s\n' "${one#* }"; done; printf '%s\n' "$sites" bin)
    # Deepest first; rmdir leaves what is not empty.
    for_rmdir "$(for one in $touched; do printf '%s\n' "$one/__pycache__"; done)"
    for_rmdir "$(without "$touched" "$(printf '%s\n' "$kept" | sort -u)" | sort -r)"
}

for_rmdir() {
    names=$1
    set --
    for name in $names; do
        decode "$name"
        set -- "$@" "$path/$decoded"
        if [ "$#" -ge 128 ]; then
            rmdir -- "$@" 2>/dev/null
            set --
        fi
    done
    [ "$#" -eq 0 ] || rmdir -- "$@" 2>/dev/null
}

"""
