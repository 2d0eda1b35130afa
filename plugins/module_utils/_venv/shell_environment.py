"""C(rollback.sh): the way back of a virtual environment."""

from __future__ import annotations

FUNCTIONS = r"""# --- Virtual environments ---

venv_check() {
    trusted_above "$path"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    if [ "$existed" != 1 ]; then
        for id in $layers; do
            check_layer "$id"
        done
        return
    fi
    [ -d "$path" ] ||
        refuse "$path was removed by somebody; only what was captured of it could be put back." \
            'Install again instead.'
    stray=stray
    venv_look_at_others
    paths_check
}

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

# Looks at what others installed since. Sets foreign: the paths of distributions that share nothing with the changes,
# and stay; theirs: the directories of metadata of those that do. They cannot stay beside what was there before.
venv_look_at_others() {
    foreign='' theirs=''
    listed=$(each_directory print_full "$list")
    ours=$(venv_metadata_in_tables)
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

venv_plan() {
    if [ "$existed" != 1 ]; then
        removal_plan
        venv_judge_removal
        return
    fi
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

# Whose is what is in an environment that goes as a whole. It is kept, but whoever uses it loses it.
venv_judge_removal() {
    [ -d "$path" ] && [ -z "$resumed" ] || return 0
    others='' owned=''
    for info in $(venv_infos); do
        venv_name "$info"
        plan_erase="$plan_erase$project $version$nl"
        case " $brought pip setuptools wheel " in
        *" $project "*) ;;
        *)
            others="$others$project $version in $path_encoded was installed by somebody else"
            others="$others and goes with it$nl"
            ;;
        esac
        decode "$info"
        # What an installer that was killed has left is nobody's work.
        [ -f "$path/$decoded/RECORD" ] || return 0
        owned=$owned$(venv_rows "$info")$nl
    done
    conflicts=$conflicts$others
    [ -z "$others" ] || return 0
    there=$(for one in $(walk "$path" .); do
        case $one in
        'd '* | */__pycache__/* | *.dist-info/*) continue ;;
        'f pyvenv.cfg' | 'f .gitignore' | 'f .lock' | 'f CACHEDIR.TAG' | 'f lib64') continue ;;
        */site-packages/_virtualenv.py | */site-packages/_virtualenv.pth) continue ;;
        'f bin/'[Aa][Cc][Tt][Ii][Vv][Aa][Tt][Ee]* | 'f bin/'[Dd][Ee][Aa][Cc][Tt][Ii][Vv][Aa][Tt][Ee]*) continue ;;
        'f bin/python'* | 'f bin/pydoc'*) continue ;;
        esac
        printf '%s\n' "$path_encoded/${one#* }"
    done | sort -u)
    for one in $(without "$there" "$(printf '%s\n' "$owned" | sort -u)"); do
        conflicts="$conflicts$one was put there by somebody$nl"
    done
}

venv_execute() {
    if [ "$existed" != 1 ]; then
        venv_take_away
        return
    fi
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

# Moves the environment as a whole to where it is kept: no file of it is destroyed.
venv_take_away() {
    exists "$path" || return 0
    layer "${layers##*"$nl"}"
    aside=$point/$number/aside
    if [ "$(stat -c %d -- "$point/$number")" = "$(stat -c %d -- "$path")" ]; then
        mkdir -p -- "$aside" || fail "$aside could not be made."
        to=$aside/${path##*/} copy=0
    else
        to=${path%/*}/.${path##*/}.sage-${point##*/}.$number copy=0
    fi
    name=$to
    while exists "$to"; do
        copy=$((copy + 1)) to=$name.$copy
    done
    mv -T -- "$path" "$to" || fail "$path could not be moved."
    printf 'What was in %s is kept in %s\n' "$path" "$to"
}

venv_verify() {
    if [ "$existed" != 1 ]; then
        ! exists "$path" || printf '%s\n' "$path_encoded is still there"
        return
    fi
    venv_look_at_others
    paths_verify
    for info in $theirs; do
        printf '%s\n' "$path_encoded/$info is still there"
    done
}

"""
