# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# Changes that were interrupted: what they touched is found out by the tables from before them. Needs answers.sh
# looking.sh names.sh paths.sh.

# --- Changes that were interrupted: nobody looked at what they left ---

# Prints, as a list, what is not as in the tables from before them: "capture file-of-the-table hash above below".
unsettled_list() {
    listed=$(each_directory print_full "$list")
    covered=
    for capture in $unsettled; do
        IFS=' '
        # shellcheck disable=SC2086  # set -f is on
        set -- $capture
        IFS=$nl
        layer "$1"
        above=$4 base=$5
        sum_of "$point/$number/$2" "$3" ||
            refuse "$point/$number/$2 is not what was captured." "$restore_store"
        table=$(cat -- "$point/$number/$2")
        written=$(set +f; cat -- "$store/farm/copied"* 2>/dev/null)
        IFS=' '
        # shellcheck disable=SC2086  # "sage-table format began file-system generation"
        set -- ${table%%"$nl"*}
        IFS=$nl
        generation=$5
        decode "$above"
        cd -P -- "$decoded" 2>/dev/null || continue
        rows='' many=0
        for line in $table; do
            case $line in
            [fdlpsbc]' '*) ;;
            *) continue ;;
            esac
            rows=$rows$line$nl many=$((many + 1))
            [ "$many" -lt 200 ] || {
                compare_rows
                rows='' many=0
            }
        done
        compare_rows
        new_paths
        covered=$covered${above%/}/$base$nl
    done
}

# Prints those of the rows that are not as the table has them, by what tells at once.
compare_rows() {
    present=
    set --
    for row in $rows; do
        path_of_row
        if exists "./$decoded"; then
            present=$present$row$nl
            set -- "$@" "./$decoded"
        else
            print_row
        fi
    done
    [ "$#" -gt 0 ] || return 0
    facts=$(stat -c "%04a %u %g %s $mtime %i $ctime %A" -- "$@")
    for row in $present; do
        fact=${facts%%"$nl"*}
        facts=${facts#*"$nl"}
        IFS=' '
        # shellcheck disable=SC2086  # as docs/formats.md has them
        set -- $row
        IFS=$nl
        seconds "$6"
        modified=$instant
        changed='*'
        if [ "$1${10}" != f- ] || is_written; then
            # What is held as a copy holds no inode: only a time that nobody can set tells of it.
            seconds "$8"
            changed=$instant
        fi
        [ -z "$coarse" ] || modified=${modified%.*} changed=${changed%.*}
        case $1:$fact in
        "f:$2 $3 $4 $5 $modified $7 "$changed' -'*) ;;
        "l:$2 $3 $4 "*" $modified $7 "*' l'*) ;;
        "d:$2 $3 $4 "*" $modified $7 "*' d'*) ;;
        [psbc]":$2 $3 $4 "*" $modified $7 "*) ;;
        *)
            path_of_row
            print_row
            ;;
        esac
    done
}

# Whether the file of the row $row was copied before somebody wrote to it in place.
is_written() {
    [ -n "$written" ] || return
    IFS=' '
    # shellcheck disable=SC2086  # as docs/formats.md has them
    set -- $row
    IFS=$nl
    case $nl$written in
    *"$nl$(printf '%x.%x.%x' "$7" "$5" "$6") "*) ;;
    *) return 1 ;;
    esac
}

# Sets encoded and decoded: the path of the row $row from where the captured path is.
path_of_row() {
    encoded=$base/${row##* }
    case ${row##* } in
    -) encoded=$base ;;
    '\0055') encoded=$base/- ;;
    esac
    decode "$encoded"
}

# Prints a row as a line of the list.
print_row() {
    line=$encoded
    IFS=' '
    # shellcheck disable=SC2086  # as docs/formats.md has them
    set -- $row
    IFS=$nl
    seconds "$6"
    content=${10}
    case $1 in
    l) content=${12} ;;
    f)
        if [ "$content" = - ]; then
            link=$(printf '%x.%x.%x' "$7" "$5" "$6")
            case $nl$written in
            *"$nl$link "*)
                content=${written#*"$link "}
                content=${content%%"$nl"*}
                ;;
            *) content="=$generation/$(printf '%02x' "$(($7 >> 8 & 255))")/$link" ;;
            esac
        fi
        ;;
    esac
    case $content:$line in
    =*:*/__pycache__/*.pyc)
        # It is made again by whoever needs it.
        if [ ! -f "$store/farm/${content#=}" ]; then
            print_line '- -'
            return
        fi
        ;;
    esac
    case ${11} in
    *user.* | *trusted.* | *system.posix_acl* | *security.capability*) instant=$instant+ ;;
    esac
    print_line "$1:$(printf '%o' "0$2"):$3:$4:$5:$instant $content"
}

# Prints the path $line, which had the facts and content $1, unless an older capture tells of it.
print_line() {
    case $nl$listed$nl in
    *"$nl${above%/}/$line$nl"*) return 0 ;;
    esac
    for older in $covered; do
        case ${above%/}/$line in
        "$older" | "$older"/*) return 0 ;;
        esac
    done
    case $line in
    */*) printf '@ %s %s\n' "$above" "${line%/*}" ;;
    *) printf '@ %s .\n' "$above" ;;
    esac
    mark=.
    case $line in
    */__pycache__/*.pyc) mark='~' ;;
    esac
    name=${line##*/}
    [ "$name" != - ] || name='\0055'
    printf '%s %s %s ? -\n' "$mark" "$name" "$1"
}

# Prints what came below the captured path, each directory as a whole.
new_paths() {
    decode "$base"
    exists "./$decoded" || return 0
    known=$(for row in $table; do
        case $row in
        [fdlpsbc]' '*)
            path_of_row
            printf '%s\n' "$encoded"
            ;;
        esac
    done)
    there=$({
        printf '%s\n' "$base"
        [ ! -d "./$decoded" ] || [ -L "./$decoded" ] || for line in $(walk . "$decoded"); do
            printf '%s\n' "${line#* }"
        done
    })
    last=/
    # In the order of directories.
    for line in $(without "$there" "$known" | tr / '\001' | sort | tr '\001' /); do
        case $line in
        "$last"/*) continue ;;
        esac
        case $nl$foreign$nl in
        *"$nl${above%/}/$line$nl"* | *"$nl${above%/}/$line/"*) continue ;;
        esac
        case $line in
        # Byte code of what somebody else installed.
        */__pycache__ | */__pycache__/*)
            case $nl$foreign in
            *"$nl${above%/}/${line%%/__pycache__*}/"*) continue ;;
            esac
            ;;
        esac
        last=$line
        print_line '- -'
    done
}
