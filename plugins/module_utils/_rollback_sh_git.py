# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""C(rollback.sh): git work trees."""

from __future__ import annotations

GIT = r"""# --- Git work trees ---

git_run() {
    git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c advice.detachedHead=false -C "$path" "$@"
}

git_check() {
    trusted_above "$path"
    check_layer "${layers%%"$nl"*}"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    [ "$existed" = 1 ] || return 0
    command -v git >/dev/null 2>&1 || refuse "git is missing, and the work tree $path has to go back to the commit $head." 'Install git, then run again.'
    [ -e "$path/.git" ] || refuse "$path is no git work tree any more." 'Clone it again by hand.'
    git_run rev-parse --verify --quiet HEAD >/dev/null || refuse "git cannot read $path." 'Mend it, or clone it again by hand.'
    git_run cat-file -e "$head^{commit}" 2>/dev/null || refuse "$path has no commit $head any more." 'Fetch it again.'
}

# Sets now_head, now_branch, now_modules, dirty.
git_look() {
    now_head=$(git_run rev-parse --verify HEAD) || now_head=
    now_branch=$(git_run symbolic-ref --short -q HEAD) || now_branch=
    now_modules=$(for one in $(git_run submodule status --recursive); do
        case $one in
        -*) continue ;;
        esac
        one=${one#?}
        commit=${one%% *}
        one=${one#* }
        encode "${one% (*}"
        printf '%s %s\n' "$commit" "$encoded"
    done | sort)
    dirty=$(git_run status --porcelain --untracked-files=no --ignore-submodules=untracked)
}

git_plan() {
    if [ "$existed" != 1 ]; then
        removal_plan
        return
    fi
    git_look
    if [ -n "$dirty" ] || [ "$now_head $now_branch" != "$head $branch" ] || [ "$now_modules" != "$modules" ]; then
        plan_restore="$plan_restore$path to ${branch:-commit} $(printf '%.12s' "$head")$nl"
    fi
    if [ -n "$dirty" ] && [ -z "$resumed" ]; then
        conflicts="$conflicts$path has changes that were not committed$nl"
    fi
}

git_execute() {
    if [ "$existed" != 1 ]; then
        removal_execute
        return
    fi
    git_look
    if [ -n "$dirty" ]; then
        kept=$(git_run stash create 'kept by a rollback')
        [ -z "$kept" ] || git_run update-ref "refs/sage/kept/$(printf '%.12s' "$kept")" "$kept" || fail "the changes in $path could not be kept."
    fi
    if [ -n "$branch" ]; then
        git_run checkout --quiet --force --no-track -B "$branch" "$head" -- || fail "git could not go back to $head in $path."
    else
        git_run checkout --quiet --force --detach "$head" -- || fail "git could not go back to $head in $path."
    fi
    set --
    for one in $modules; do
        decode "${one#* }"
        git_is_outer "$modules" "$decoded" || continue
        [ ! -d "$path/$decoded" ] || set -- "$@" "$decoded"
    done
    [ "$#" -eq 0 ] || git_run submodule --quiet update --force --no-fetch --recursive -- "$@" || fail "git could not go back in the submodules of $path."
    git_look
    set --
    for one in $now_modules; do
        case "$nl$modules$nl" in
        *" ${one#* }$nl"*) ;;
        *)
            decode "${one#* }"
            ! git_is_outer "$now_modules" "$decoded" || set -- "$@" "$decoded"
            ;;
        esac
    done
    [ "$#" -eq 0 ] || git_run submodule --quiet deinit --force -- "$@" >/dev/null || fail "git could not leave the new submodules of $path."
}

# Whether the submodule $2 lies in no other of $1.
git_is_outer() {
    for other in $1; do
        encode "$2"
        case $encoded in
        "${other#* }"/*) return 1 ;;
        esac
    done
    return 0
}

git_verify() {
    if [ "$existed" != 1 ]; then
        removal_verify
        return
    fi
    git_look
    [ "$now_head" = "$head" ] || printf '%s\n' "$path is at ${now_head:-no commit}, was at $head"
    [ "$now_branch" = "$branch" ] || printf '%s\n' "$path is on ${now_branch:-no branch}, was on ${branch:-no branch}"
    [ "$now_modules" = "$modules" ] || printf '%s\n' "submodules of $path are at other commits"
    [ -z "$dirty" ] || printf '%s\n' "$path has changes that are not committed"
}
"""
