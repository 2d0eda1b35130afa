# shellcheck shell=sh disable=SC2013,SC2015,SC2034,SC2154,SC2317,SC2329
# The kind venv, where an environment was there before. The script sets, besides what files.sh needs: partly, planned.
# Needs answers.sh looking.sh names.sh paths.sh paths_plan.sh paths_work.sh venv.sh.

# --- Environments that were there before: what is in them goes back ---

venv_present_check() {
    trusted_above "$path"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    [ -d "$path" ] ||
        refuse "$path was removed by somebody; only what was captured of it could be put back." \
            'Install again instead.'
    stray=stray
    venv_look_at_others
    paths_check
}

# Looks at what others installed since. Sets foreign: the paths of distributions that share nothing with the changes,
# and stay; theirs: the directories of metadata of those that do. They cannot stay beside what was there before.
venv_look_at_others() {
    foreign='' theirs=''
    listed=$(each_directory print_full "$list")
    ours=
    [ -z "$unsettled" ] || ours=$(venv_metadata_in_tables)
    groups=" $(for line in $list; do
        case $line in
        '@ '*) ;;
        *) printf '%s\n' "${line%% *}" ;;
        esac
    done | sort -u | tr '+\n' '  ') $(for info in $planned $ours; do
        venv_name "$info"
        printf '%s ' "$project"
    done)"
    for info in $(venv_infos); do
        case $nl$listed$nl$ours$nl in
        *"$nl$path_encoded/$info/RECORD$nl"* | *"$nl$info$nl"*) continue ;;
        esac
        decode "$info"
        is_newer "$path/$decoded" && [ -f "$path/$decoded/RECORD" ] || continue
        venv_name "$info"
        # Of a change that nobody looked at all is its own that it was going to do, or that was there before.
        if [ -n "$unsettled" ]; then
            case "$nl$planned$nl$groups" in
            "$nl$nl"* | *"$nl$project$nl"* | *" $project "*) continue ;;
            esac
        fi
        rows=$(venv_rows "$info" | sort -u)
        shared=$(printf '%s\n' "$rows" "$listed" | sort | uniq -d)
        case $groups in
        *" $project "*) shared=$project ;;
        esac
        if [ -n "$shared" ]; then
            theirs=$theirs$info$nl
        else
            foreign=$foreign$rows$nl
        fi
    done
}

# Prints the directories of metadata that were there before changes that nobody looked at.
venv_metadata_in_tables() {
    for capture in $unsettled; do
        IFS=' '
        # shellcheck disable=SC2086  # set -f is on
        set -- $capture
        IFS=$nl
        layer "$1"
        for row in $(cat -- "$point/$number/$2"); do
            case $row in
            *.dist-info/RECORD)
                row=${row##* }
                printf '%s\n' "${row%/RECORD}"
                ;;
            esac
        done
    done
}

venv_present_plan() {
    key=${layers%%"$nl"*}
    eval "todo=\$todo_$key"
    told=$plan_install$plan_erase$plan_restore$plan_remove
    summed='' same_version='' brief=1
    each_directory venv_plan_metadata "$todo"
    paths_plan
    brief=
    for project in $(printf '%s' "$same_version" | sort -u); do
        number_of=0
        for line in $same_version; do
            [ "$line" != "$project" ] || number_of=$((number_of + 1))
        done
        plan_restore="$plan_restore$project in $path_encoded ($number_of paths)$nl"
    done
    [ -z "$todo" ] || [ "$told" != "$plan_install$plan_erase$plan_restore$plan_remove" ] || venv_plan_rest
    venv_look_at_others
    aside_list=
    for info in $theirs; do
        venv_name "$info"
        plan_erase="$plan_erase$project $version$nl"
        conflicts="$conflicts$project $version in $path_encoded was installed by somebody else$nl"
        aside_list=$aside_list$(for row in $(without "$(venv_rows "$info")" "$listed"); do
            case $row in
            "$path_encoded/$info"/*) ;;
            *) printf '%s\n' "$row" ;;
            esac
        done)$nl$path_encoded/$info$nl
    done
    eval "aside_$key=\$aside_list"
}

# Byte code and directories alone.
venv_plan_rest() {
    number_of=0
    for line in $todo; do
        case $line in
        '@ '* | *' lives') ;;
        *) number_of=$((number_of + 1)) ;;
        esac
    done
    [ "$number_of" = 0 ] || plan_restore="$plan_restore$path_encoded ($number_of paths)$nl"
}

# What is installed and erased, by the metadata that come and go.
venv_plan_metadata() {
    for line in $lines; do
        take_up "$line"
        case $below/$name:${before%%:*}${now%%:*} in
        *.dist-info/RECORD:f-)
            venv_name "$below"
            plan_install="$plan_install$project $version$nl"
            ;;
        *.dist-info/RECORD:-f)
            venv_name "$below"
            plan_erase="$plan_erase$project $version$nl"
            ;;
        *.dist-info:-d)
            # Of a change that nobody looked at what came is not in the list one by one.
            [ "$after" = '?' ] || continue
            venv_name "$name"
            plan_erase="$plan_erase$project $version$nl"
            ;;
        *) continue ;;
        esac
        case $whose in
        [.~-]) ;;
        *) summed="$summed $whose" ;;
        esac
    done
}

venv_present_execute() {
    eval "aside_list=\$aside_${layers%%"$nl"*}"
    above=${path_encoded%/*} verdict=stray
    for row in $aside_list; do
        line=${row#"$above"/}
        below=${line%/*}
        enter "${above:-/}" "$below" || continue
        decode "${line##*/}"
        file=./$decoded
        open_directory
        set_aside
        close_directory
        # Where they had a directory of their own.
        at=${line%/*}
        while [ "$at" != "${path_encoded##*/}" ] && in_parent "${above:-/} ${at%/*} - ${at##*/} - - - -"; do
            $as rmdir -- "$file" 2>/dev/null || break
            close_directory
            at=${at%/*}
        done
        above=${path_encoded%/*}
    done
    cd /
    paths_execute '*.dist-info/*'
}

venv_present_verify() {
    venv_look_at_others
    paths_verify
    for info in $theirs; do
        printf '%s\n' "$path_encoded/$info is still there"
    done
}
