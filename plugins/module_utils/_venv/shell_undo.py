"""C(rollback.sh): the way back of a virtual environment."""

from __future__ import annotations

VENV_UNDO = r"""venv_check() {
    trusted_above "$path"
    for id in $layers; do
        check_layer "$id"
        [ "$existed" != 1 ] || check_items "$(choose "$take")" "$content"
    done
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    [ "$existed" = 1 ] || return 0
    load "${layers%%"$nl"*}"
    check_items "$(choose ' - ')" "$content"
    [ -d "$path" ] ||
        refuse "$path was removed by somebody; only what was captured of it could be put back." \
            'Install again instead.'
}

# Computes the way back: put_<layer>, put_loose, erase, aside, litter, and what the plan says.
venv_compute() {
    real=$(cd -- "$path" && pwd -P) || refuse "$path cannot be entered."
    sites=$(venv_sites)
    registered=$(venv_registered)
    venv_judge_killed
    rows=$(venv_rows)
    captured='' claims='' puts=''
    for id in $layers; do
        load "$id"
        chosen=$(choose "$take")
        captured=$captured$(names_of "$chosen")$nl
        claims=$claims$(for line in $(of_type f "$chosen"); do
            line=${line#* f }
            printf '%s %s\n' "${line%% *}" "${line##* }"
        done)$nl
        no_links "$path" "$(names_of "$chosen")"
        list=$(unlike "$path" "$chosen" "$content")
        for line in $list; do
            place_is_free "$line"
        done
        eval "put_$id=\$list"
        puts=$puts$list$nl
    done
    venv_loose
    # "section name" of what a new version brought and the old one had not.
    extra=$({
        for line in $captured; do
            printf '%s !\n' "$line"
        done
        for line in $rows; do
            name=${line#* * * }
            printf '%s %s\n' "${name%% *}" "${line%% *}"
        done
    } | sort -u)
    extra=$(last=
    for line in $extra; do
        case $line in
        *' !') last=${line% !} ;;
        *) [ "${line%% *}" = "$last" ] || printf '%s %s\n' "${line#* }" "${line%% *}" ;;
        esac
    done)
    erase=$(for line in $extra; do printf '%s\n' "${line#* }"; done | sort -u)
    if [ -n "$erase" ]; then
        no_links "$path" "$erase"
        erase=$(without "$erase" "$(venv_owned && names_of "$loose")")
    fi
    left_over=$(leftovers "$path" "$captured" | sort -u)
    erase=$erase$nl$left_over
    venv_edited "$claims"
    aside=$(for one in $edited; do printf '%s\n' "${one#* }"; done | sort -u)
    litter='' maybe_empty=''
    if [ -n "$killed" ]; then
        found=$(venv_litter "$captured$nl$erase$nl$(names_of "$loose")$nl$aside")
        for one in $found; do
            case $one in
            'f '*) litter=$litter${one#* }$nl ;;
            *) maybe_empty=$maybe_empty${one#* }$nl ;;
            esac
        done
    fi
}

# Sets put_loose: what is put back of what belongs to the environment itself.
venv_loose() {
    load "${layers%%"$nl"*}"
    loose=$(choose ' - ')
    put_loose=$(unlike "$path" "$loose" "$content")
    case "$nl$put_loose$nl" in
    *" pyvenv.cfg$nl"*) ;;
    *)
        # No installer touches these unless the environment is made anew: what differs was edited by people.
        put_loose=$(for line in $put_loose; do
            split "$line"
            place "$path"
            exists "$file" || printf '%s\n' "$line"
        done)
        ;;
    esac
}

# Refuses when a directory is where the item $1 has to be put.
place_is_free() {
    split "$1"
    place "$path"
    if [ -d "$file" ] && [ ! -L "$file" ]; then
        refuse "$file is a directory where a file was." 'Move it away, then run again.'
    fi
}

venv_plan() {
    if [ "$existed" != 1 ]; then
        removal_plan
        return
    fi
    venv_compute
    put_counts=$(for line in $puts $extra; do printf '%s\n' "${line%% *}"; done | sort | uniq -c)
    for target in $targets; do
        project=${target%% *}
        rest=${target#* }
        version=${rest%% *}
        allowed=${rest#"$version"}
        present=
        for one in $registered; do
            [ "${one%% *}" = "$project" ] || continue
            rest=${one#* }
            now=${rest%% *}
            rest=${rest#* }
            present="$present $now"
            [ "$now" = "$version" ] || plan_erase="$plan_erase$project $now$nl"
            case "$allowed " in
            *' * '* | *" ${rest%% *} "*) ;;
            *)
                conflicts="$conflicts$project $now in $path_encoded was installed by somebody else"
                conflicts="$conflicts (captured: $version)$nl"
                ;;
            esac
        done
        [ "$version" != - ] || continue
        case "$allowed " in
        # A rollback that is undone here had removed it.
        *' - '*) gone=1 ;;
        *) gone=$resumed$killed ;;
        esac
        if [ -z "$present$gone" ]; then
            conflicts="$conflicts$project in $path_encoded was removed by somebody else (captured: $version)$nl"
        fi
        case "$present " in
        *" $version "*)
            for one in $put_counts; do
                [ "${one##* }" != "$project" ] || {
                    one=${one% *}
                    plan_restore="$plan_restore$project $version (${one##* } files)$nl"
                }
            done
            ;;
        *) plan_install="$plan_install$project $version$nl" ;;
        esac
    done
    for one in $aside; do
        decode "$one"
        if [ -n "$killed" ] && recent "$path/$decoded"; then
            plan_remove="$plan_remove$path_encoded/$one (kept aside)$nl"
        else
            conflicts="$conflicts$path_encoded/$one was edited by somebody$nl"
        fi
    done
    for one in $(names_of "$put_loose"); do
        plan_restore="$plan_restore$path_encoded/$one$nl"
    done
    for one in $(venv_modes); do
        plan_restore="$plan_restore$path_encoded/${one#* } to mode ${one%% *}$nl"
    done
    for one in $litter; do
        plan_remove="$plan_remove$path_encoded/$one (kept aside)$nl"
    done
    for one in $left_over; do
        plan_remove="$plan_remove$path_encoded/$one$nl"
    done
    if exists "$path/.sage-undo.dir"; then
        plan_remove="$plan_remove$path_encoded/.sage-undo.dir$nl"
    fi
}

venv_execute() {
    if [ "$existed" != 1 ]; then
        removal_execute
        return
    fi
    venv_compute
    # Copies wait out of sight, unless that is another file system.
    stage=$state/rollback.stage
    [ "$(stat -c %d -- "$state")" = "$(stat -c %d -- "$path")" ] || stage=$path/.sage-undo.dir
    rm -rf -- "$stage" "$path/.sage-undo.dir"
    in_content=$(for one in $erase; do case $one in *.dist-info/*) ;; *) printf '%s\n' "$one" ;; esac; done)
    # While the sources still tell whose it is: the next run could not say that of what a killed one left.
    venv_remove_code "$in_content$nl$aside$nl$litter$nl$(names_of "$puts")"
    layer "${layers##*"$nl"}"
    for one in $aside $litter; do
        keep_aside "$path" "$one" "$point/$number/aside"
    done
    in_info=$(for one in $erase; do
        case $one in
        *.dist-info/RECORD) ;;
        *.dist-info/*) printf '%s\n' "$one" ;;
        esac
    done)
    records=$(for one in $erase; do case $one in *.dist-info/RECORD) printf '%s\n' "$one" ;; esac; done)
    erased=$erased$(for one in $erase $litter; do printf '%s\n' "$path_encoded/$one"; done)$nl
    remove_files "$path" "$in_content"
    # While RECORD still tells what belonged to it: nothing is left that nobody knows of.
    venv_tidy "$in_content$nl$litter" "$maybe_empty"
    venv_tidy "$(names_of "$puts")" ''
    for round in content info record; do
        for id in $layers; do
            layer "$id"
            eval "list=\$put_$id"
            put "$point/$number" "$path" "$(venv_round "$round" "$list")" "$stage"
        done
        if [ "$round" = content ]; then
            layer "${layers%%"$nl"*}"
            put "$point/$number" "$path" "$put_loose" "$stage"
        fi
    done
    remove_files "$path" "$in_info"
    remove_files "$path" "$records"
    venv_tidy "$in_info$nl$records" "$(for one in $registered; do
        case "$nl$targets" in
        *"$nl${one%% *} "*) printf '%s\n' "${one##* }" ;;
        esac
    done)"
    venv_mend_modes
}

# Prints those of the items $2 that are put in the round $1: a RECORD is the very last of a distribution.
venv_round() {
    for line in $2; do
        case $line in
        *.dist-info/RECORD) belongs=record ;;
        *.dist-info/*) belongs=info ;;
        *) belongs=content ;;
        esac
        [ "$belongs" != "$1" ] || printf '%s\n' "$line"
    done
}

venv_verify() {
    if [ "$existed" != 1 ]; then
        removal_verify
        return
    fi
    sites=$(venv_sites)
    registered=$(venv_registered)
    for target in $targets; do
        project=${target%% *}
        rest=${target#* }
        version=${rest%% *}
        present=
        for one in $registered; do
            [ "${one%% *}" = "$project" ] || continue
            rest=${one#* }
            present="$present ${rest%% *}"
        done
        [ "${present:- -}" = " $version" ] || printf '%s\n' "$project is${present:- absent}, was $version"
    done
    for id in $layers; do
        load "$id"
        for one in $(unlike "$path" "$(choose "$take")" "$content"); do
            printf '%s\n' "$path_encoded/${one##* } differs from what was captured"
        done
    done
    venv_loose
    for one in $put_loose; do
        printf '%s\n' "$path_encoded/${one##* } differs from what was captured"
    done
    for one in $(venv_modes); do
        printf '%s\n' "$path_encoded/${one#* } has another mode than ${one%% *}"
    done
}

"""
