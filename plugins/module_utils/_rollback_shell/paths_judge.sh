# shellcheck shell=sh disable=SC2154,SC2317,SC2329,SC3013
# The three-way merge of each path in the list. Needs answers.sh looking.sh names.sh paths.sh.

# --- What is there now, and what becomes of it ---

# Prints those lines of a directory that are not as before, with what is there now, and what becomes of it: "go";
# "theirs", for somebody changed it; "lives", for nobody owns it and somebody writes to it; "lost", for its content from
# before is not held; "stray", for it lies in the way.
judge_directory() {
    printf '@ %s %s\n' "$above" "$below"
    present=
    set --
    for line in $lines; do
        take_up "$line"
        if [ -n "$entered" ] && exists "$file"; then
            present=$present$line$nl
            set -- "$@" "$file"
        else
            now=- now_content=-
            judge
        fi
    done
    [ -z "$entered" ] || [ -z "$first" ] || judge_strays
    [ "$#" -gt 0 ] || return 0
    facts=$(stat -c "%A:%a:%u:%g:%s:$mtime" -- "$@" 2>/dev/null)
    files=$facts$nl
    for name in "$@"; do
        shift
        case $files in
        -*) set -- "$@" "$name" ;;
        esac
        files=${files#*"$nl"}
    done
    [ "$#" -eq 0 ] || sums=$(hashes "$@")
    for line in $present; do
        take_up "$line"
        read_fact "${facts%%"$nl"*}"
        facts=${facts#*"$nl"}
        now=$fact now_content=-
        case $now in
        f*)
            now_content=${sums%%"$nl"*}
            sums=${sums#*"$nl"}
            ;;
        esac
        judge
    done
}

judge() {
    ! is_before || return 0
    case $before:$after:$now in
    # Of a directory's own mode and owner nothing was touched: what differs is somebody's.
    d*:d*:d*) [ "${before%:*}" != "${after%:*}" ] || return 0 ;;
    esac
    case ${before%%:*}${now%%:*} in
    -d) ! is_needed || return 0 ;;
    esac
    if is_lost; then
        printf '%s %s lost\n' "$line" "$now"
        return
    fi
    verdict=go
    if ! is_after && ! is_half_done; then
        case $whose in
        '~') ;;
        -)
            # A directory that somebody removed is made again for what belongs into it.
            case $before:$now in
            d*:-) ;;
            *) verdict=lives ;;
            esac
            ;;
        *) verdict=theirs ;;
        esac
    fi
    printf '%s %s %s\n' "$line" "$now" "$verdict"
    case ${before%%:*}${now%%:*} in
    [!d]d)
        full=$below/$name
        # Nobody looks for others' files in what is kept aside as a whole.
        [ "$after" = '?' ] || [ "$verdict" != go ] || going="$going$above ${full#./}$nl"
        ;;
    esac
}

# Whether $file is as it was before the changes.
is_before() {
    case $before in
    - | d*) [ "${now%:*}" = "${before%:*}" ] ;;
    *) [ "$now" = "$before" ] && has_content "$before_content" ;;
    esac
}

# Whether nothing holds the content that $file had: the change wrote to it in place, or no link was possible.
is_lost() {
    case $before_content in
    '!') return 0 ;;
    =*)
        # Where links were impossible, only what the change was going to replace is held.
        [ -f "$store/farm/${before_content#=}" ] || { [ "$partly" = 1 ]; return; }
        [ "$(stat -c "%s:$mtime" -- "$store/farm/${before_content#=}")" != "${before#f:*:*:*:}" ]
        ;;
    *) return 1 ;;
    esac
}

# Whether others installed something into the directory $name since: it stays.
is_needed() {
    full_name
    case $nl$foreign in
    *"$nl$full/"*) return 0 ;;
    esac
    return 1
}

# Whether $file is as the changes left it. Content decides before any time does.
is_after() {
    [ "$after" != '?' ] || return 0
    [ "${now%:*}" = "${after%:*}" ] && has_content "$after_content"
}

# Whether a rollback that was interrupted may have left $file as it is.
is_half_done() {
    [ -n "$resumed" ] || return 1
    case ${before%%:*}${now%%:*} in
    ?- | dd) return 0 ;;
    esac
    has_content "$before_content" || has_content "$after_content"
}

# Whether $file has the content $1.
has_content() {
    case $now in
    f*)
        case $1 in
        =*)
            find_content "$1" || return 1
            [ "$file" -ef "$held" ] || sum_of "$held" "$now_content"
            ;;
        *) [ "$now_content" = "$1" ] ;;
        esac
        ;;
    l*)
        decode "$1"
        target=$(readlink -n -- "$file" && echo x)
        [ "$target" = "${decoded}x" ]
        ;;
    esac
}

# In a directory that goes, or becomes something else: what is not in the list.
judge_strays() {
    case $nl$going in
    *"$nl$above $below$nl"*) ;;
    *) return 0 ;;
    esac
    names=$nl
    for line in $of_directory; do
        line=${line#* }
        names=$names${line%% *}$nl
    done
    (
        set +f
        for entry in ./* ./.[!.]* ./..?*; do
            exists "$entry" || continue
            encode "${entry#./}"
            case $names in
            *"$nl$encoded$nl"*) continue ;;
            esac
            full=${above%/}/$below/$encoded
            case $nl$foreign$nl in
            *"$nl$full$nl"* | *"$nl$full/"*) continue ;;
            esac
            printf '. %s - - ? - ? %s\n' "$encoded" "$stray"
        done
    )
}
