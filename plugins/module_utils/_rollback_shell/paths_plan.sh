# shellcheck shell=sh disable=SC2034,SC2154,SC2317,SC2329
# Checks of the list before anything is touched, and what people are told of it. Needs answers.sh looking.sh names.sh
# paths.sh paths_judge.sh writing.sh. If a change was interrupted, paths_unsettled.sh.

# --- Before anything is touched ---

paths_check() {
    for id in $layers; do
        check_layer "$id"
    done
    for top in $tops; do
        decode "$top"
        trusted_above "$decoded"
    done
    touched=$list
    if [ -n "$unsettled" ]; then
        touched=$list$nl$(unsettled_list) || exit
    fi
    todo=$(going=; each_directory judge_directory "$touched") || exit
    made=$(each_directory print_made "$todo")
    each_directory check_directory "$todo"
    # For what is called later.
    eval "touched_${layers%%"$nl"*}=\$touched todo_${layers%%"$nl"*}=\$todo"
}

# Prints directories that are made, or made a directory again.
print_made() {
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict:$before in
        lives:*) ;;
        *:d*) printf '%s\n' "$full" ;;
        esac
    done
}

check_directory() {
    sums=
    set --
    for line in $lines; do
        take_up "$line"
        case $verdict in lives | lost) continue ;; esac
        full_name
        case $before in
        -) ;;
        [bcs]*) refuse "$full was a socket or a device." "$by_module" ;;
        *)
            [ -z "$attributes" ] ||
                refuse "$full had extended attributes, which nothing here can set." "$by_module"
            [ -n "$entered" ] || check_way
            ;;
        esac
        case $before in
        f*)
            find_content "$before_content" || refuse "the captured content of $full is gone." "$restore_store"
            # A link holds the inode itself.
            case $before_content in
            =*) ;;
            *)
                sums=$sums$before_content$nl
                set -- "$@" "$held"
                ;;
            esac
            ;;
        esac
    done
    [ "$#" -eq 0 ] || [ "$(hashes "$@")$nl" = "$sums" ] ||
        refuse "captured content of files in ${above%/}/$below is not what was captured." "$restore_store"
    [ -n "$entered" ] || return 0
    judge_owner || refuse "$trouble." "$by_module"
    [ -n "$as" ] || return 0
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict:$before in
        lives:* | lost:* | *:- | *:?:*:"$own":*:*:*) ;;
        *) refuse "$full was not of user id $own, who owns the directory that it is in." "$by_module" ;;
        esac
    done
}

# Refuses when what is in the way to "." is not in the list.
check_way() {
    decode "$above"
    step=${decoded%/}
    rest=$below/
    way=${above%/}
    while [ -n "$rest" ]; do
        decode "${rest%%/*}"
        step=$step/$decoded way=$way/${rest%%/*} rest=${rest#*/}
        [ -L "$step" ] || { exists "$step" && [ ! -d "$step" ]; } || continue
        case $nl$made$nl in
        *"$nl$way$nl"*) return 0 ;;
        esac
        refuse "$way is a link or a file where a directory was." 'Find out who made it and remove it, then run again.'
    done
}

paths_plan() {
    eval "todo=\$todo_${layers%%"$nl"*}"
    each_directory plan_directory "$todo"
}

plan_directory() {
    for line in $lines; do
        take_up "$line"
        full_name
        case $verdict in
        lives)
            living=$living$full$nl
            continue
            ;;
        lost)
            conflicts="$conflicts$full was changed, and its content from before is not held: it stays as it is$nl"
            continue
            ;;
        theirs) conflicts="$conflicts$full was changed by somebody$nl" ;;
        stray)
            [ "$name" = __pycache__ ] || plan_remove="$plan_remove$full (kept aside)$nl"
            continue
            ;;
        esac
        [ -n "$closed" ] || {
            place=$PWD
            [ -n "$entered" ] || {
                decode "${above%/}/$below"
                place=$decoded
            }
            look_whether_closed "$place"
        }
        [ -z "$brief" ] || {
            tell_briefly
            continue
        }
        case $after:${before%%:*}${now%%:*} in
        '?:-'?) plan_remove="$plan_remove$full (kept aside)$nl" ;;
        *:-?) plan_remove="$plan_remove$full (is new)$nl" ;;
        *:?-) plan_restore="$plan_restore$full (is gone)$nl" ;;
        *) plan_restore="$plan_restore$full (differs)$nl" ;;
        esac
    done
}

# What the names of distributions tell is not told once more by paths.
tell_briefly() {
    case $whose in
    '~') return ;;
    [.-]) ;;
    *)
        case " $summed " in
        *" $whose "*) ;;
        *) same_version=$same_version$whose$nl ;;
        esac
        return
        ;;
    esac
    case $after:${before%%:*}${now%%:*} in
    *:dd) plan_restore="$plan_restore$full (differs)$nl" ;;
    '?:-'?) plan_remove="$plan_remove$full (kept aside)$nl" ;;
    *:d? | *:?d) ;;
    *:-?) plan_remove=$plan_remove$full$nl ;;
    *) plan_restore=$plan_restore$full$nl ;;
    esac
}
