# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# The kind venv, where no environment was there before. The script sets: brought, and what removal.sh needs. Needs
# answers.sh looking.sh names.sh removal.sh venv.sh.

# --- Environments that were not there before: they go as a whole ---

venv_absent_check() {
    trusted_above "$path"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    for id in $layers; do
        check_layer "$id"
    done
}

venv_absent_plan() {
    removal_plan
    venv_judge_removal
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

venv_absent_execute() { venv_take_away; }

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

venv_absent_verify() {
    ! exists "$path" || printf '%s\n' "$path_encoded is still there"
}
