# shellcheck shell=sh disable=SC2034,SC2154,SC2317,SC2329
# The kind git, where no work tree was there before. The script sets what removal.sh needs. Needs answers.sh git.sh
# looking.sh removal.sh.

# --- Work trees that were not there before: they go as a whole ---

git_absent_check() {
    trusted_above "$path"
    check_layer "${layers%%"$nl"*}"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    [ ! -e "$path" ] || git_needed
}

git_absent_plan() {
    removal_plan
    where=$path
    if [ -e "$path/.git" ] && [ -z "$resumed" ] && [ -n "$(git_work HEAD)" ]; then
        conflicts="$conflicts$path_encoded has changes that were not committed$nl"
    elif [ -e "$path" ] && [ ! -e "$path/.git" ] && [ -z "$resumed" ]; then
        conflicts="$conflicts$path_encoded was not there, and is no git work tree now$nl"
    fi
}

git_absent_execute() { removal_execute; }
git_absent_verify() { removal_verify; }
