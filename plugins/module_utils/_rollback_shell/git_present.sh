# shellcheck shell=sh disable=SC2015,SC2154,SC2317,SC2329
# The kind git, where a work tree was there before. The script sets: repositories, outer_work, gitdirs, sections. Needs
# answers.sh git.sh looking.sh names.sh writing.sh.

# --- Work trees that were there before ---

# As git_at, with the index $1.
git_with() {
    (
        GIT_INDEX_FILE=$1
        export GIT_INDEX_FILE
        shift
        git_at "$@"
    )
}

# Calls $1 for each captured repository, the outer one first: sets where, head, branch, staged, work.
each_repository() {
    job=$1
    for one_repository in $repositories; do
        IFS=' '
        # shellcheck disable=SC2086  # "name head branch staged work"
        set -- $one_repository
        IFS=$nl
        head=$2 staged=$4 work=$5
        branch=
        if [ "$3" != - ]; then
            decode "$3"
            branch=$decoded
        fi
        where=$path
        if [ "$1" != . ]; then
            decode "$1"
            where=$path/$decoded
        fi
        "$job"
    done
}

# Sets index: the file. A relative name is below the work tree.
git_index() {
    index=$(git_at rev-parse --git-path index)
    case $index in
    /*) ;;
    *) index=$where/$index ;;
    esac
}

git_present_check() {
    trusted_above "$path"
    check_layer "${layers%%"$nl"*}"
    [ ! -L "$path" ] || refuse "$path is a symbolic link." 'Find out who made it and remove it, then run again.'
    git_needed
    [ -e "$path/.git" ] || refuse "$path is no git work tree any more." 'Clone it again by hand.'
    each_repository git_check_repository
    git_look_extras
    [ -z "$resumed" ] || return 0
    for one in $extras; do
        decode "${one#* }"
        where=$path/$decoded
        lost=$(git_work "${one%% *}")
        [ -z "$lost" ] ||
            refuse "the submodule $where was not there, and has work that would be lost." \
                'Save it, or roll back with intellistream.sage.sage_rollback, which keeps it.'
    done
}

git_check_repository() {
    [ -e "$where/.git" ] ||
        refuse "the submodule $where is not checked out any more." 'Roll back with intellistream.sage.sage_rollback.'
    found=$(git_at rev-parse --absolute-git-dir) ||
        refuse "git cannot read $where." 'Mend it, or clone it again by hand.'
    for one in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply; do
        ! exists "$found/$one" ||
            refuse "something was begun in $where that is not finished ($one)." 'Finish or abort it, then run again.'
    done
    [ -n "$resumed" ] || ! exists "$found/index.lock" ||
        refuse "another git is at work in $where, or one was killed and left $found/index.lock."
    git_at rev-list --objects --no-walk --quiet "$head" "$staged" "$work" >/dev/null 2>&1 ||
        refuse "what was captured of $where is not in its repository any more." \
            'Fetch what is missing, then run again.'
}

# Sets extras: "commit name" of submodules that are checked out and were not.
git_look_extras() {
    where=$path
    extras=$(for line in $(git_at ls-files --stage); do
        case $line in
        '160000 '*) ;;
        *) continue ;;
        esac
        name=${line#*"$(printf '\t')"}
        [ -e "$path/$name/.git" ] || continue
        encode "$name"
        case "$nl$repositories" in
        *"$nl$encoded "*) ;;
        *)
            line=${line#* }
            printf '%s %s\n' "${line%% *}" "$encoded"
            ;;
        esac
    done)
}

# Sets changed: names of files that are not as captured; and other: what else is not.
git_compare() {
    git_index
    trouble=$(cp -p -- "$index" "$state/rollback.index" 2>&1) || refuse_unwritable "$state/rollback.index" "$trouble"
    git_with "$state/rollback.index" read-tree --reset "$work"
    git_with "$state/rollback.index" update-index -q --unmerged --refresh >/dev/null
    changed=$(git_with "$state/rollback.index" diff-files --name-only --no-renames --ignore-submodules=all)
    rm -f -- "$state/rollback.index" "$state/rollback.index.lock"
    now_head=$(git_at rev-parse --verify --quiet 'HEAD^{commit}')
    now_branch=$(git_at symbolic-ref --quiet HEAD)
    now_branch=${now_branch#refs/heads/}
    other=$(git_at diff-index --cached --name-only --no-renames --ignore-submodules=none "$staged")
    [ "$now_head $now_branch" = "$head $branch" ] || other=$other${nl}HEAD
}

# Prints the names of files that somebody changed and did not commit, and that are not as captured.
git_uncommitted() {
    since=$(
        git_at diff --name-only --no-renames --ignore-submodules=all HEAD
        git_at ls-files --others --exclude-standard
    )
    printf '%s\n' "$since" "$changed" | sort | uniq -d
}

git_present_plan() {
    differs=
    each_repository git_plan_repository
    git_look_extras
    for one in $extras; do
        plan_remove="$plan_remove$path_encoded/${one#* }$nl"
    done
    [ -z "$differs$extras" ] || each_repository git_plan_outer
}

git_plan_repository() {
    git_compare
    [ -z "$changed$other" ] || differs=1
    [ -z "$resumed" ] || return 0
    encode "$where"
    at=$encoded
    for one in $(git_uncommitted); do
        encode "$one"
        conflicts="$conflicts$at/$encoded was changed and not committed$nl"
    done
}

git_plan_outer() {
    if [ "$where" = "$path" ]; then
        look_whether_closed "$path"
        plan_restore="$plan_restore$path_encoded to ${branch:-commit} $(printf '%.12s' "$head")$nl"
    fi
}

git_present_execute() {
    git_look_extras
    for one in $extras; do
        decode "${one#* }"
        git_remove_extra "$decoded"
    done
    each_repository git_restore
}

# Removes the submodule $1; its .git, which tells of all else, goes last.
git_remove_extra() {
    where=$path
    top=$(git_at rev-parse --absolute-git-dir)
    at=$(cat -- "$path/$1/.git" 2>/dev/null)
    at=$(cd -- "$path/$1" && cd -- "${at#gitdir: }" 2>/dev/null && pwd -P)
    case $at in
    "$top"/modules/*)
        encode "${at#"$top"/modules/}"
        case "$nl$sections$nl" in
        *"$nl$encoded$nl"*) ;;
        *) git_at config --local --remove-section "submodule.${at#"$top"/modules/}" 2>/dev/null ;;
        esac
        case "$nl$gitdirs$nl" in
        *"$nl$encoded$nl"*) ;;
        *) rm -rf -- "$at" || fail "$at could not be removed." ;;
        esac
        ;;
    esac
    hidden=$top/sage-removed
    rm -rf -- "$hidden"
    mv -T -- "$path/$1" "$hidden" && rm -rf -- "$hidden" || fail "$path/$1 could not be removed."
    # git keeps an empty directory where a submodule is not checked out.
    [ -z "$(git_at ls-tree "$outer_work" -- "$1")" ] || (umask 022 && mkdir -- "$path/$1")
}

git_restore() {
    git_compare
    [ -n "$changed$other" ] || return 0
    [ -z "$resumed" ] || rm -f -- "$index.lock"
    if [ -n "$(git_uncommitted)" ]; then
        git_keep
    fi
    cp -p -- "$index" "$index.sage" || fail "$index could not be copied."
    git_with "$index.sage" read-tree --reset -u "$work" || fail "git could not put the files of $where back."
    git_with "$index.sage" read-tree --reset "$staged" || fail "git could not put the index of $where back."
    git_with "$index.sage" update-index -q --refresh >/dev/null
    mv -f -- "$index.sage" "$index" || fail "$index could not be put in place."
    for one in "$now_head" "${branch:+$(git_at rev-parse --verify --quiet "refs/heads/$branch^{commit}")}"; do
        # What HEAD or the branch leaves may be on no other name.
        if [ -z "$one" ] || [ "$one" = "$head" ]; then
            continue
        fi
        if [ -n "$(git_at rev-list --max-count=1 "$one" --not --remotes --tags "$head" --)" ]; then
            git_at update-ref "refs/sage/kept/$(printf '%.12s' "$one")" "$one"
        fi
    done
    if [ -z "$branch" ]; then
        git_at update-ref -m 'intellistream.sage: rollback' --no-deref HEAD "$head" ||
            fail "git could not go back to $head in $where."
        return
    fi
    git_at update-ref -m 'intellistream.sage: rollback' "refs/heads/$branch" "$head" ||
        fail "git could not go back to $head in $where."
    [ "$now_branch" = "$branch" ] ||
        git_at symbolic-ref -m 'intellistream.sage: rollback' HEAD "refs/heads/$branch" ||
        fail "git could not go back to $branch in $where."
}

# Keeps the files of $where as a commit of our own.
git_keep() {
    cp -p -- "$index" "$index.sage" || fail "$index could not be copied."
    git_with "$index.sage" add --all || fail "the changes in $where could not be kept."
    tree=$(git_with "$index.sage" write-tree) || fail "the changes in $where could not be kept."
    kept=$(git_at -c user.name=intellistream.sage -c user.email=sage@localhost \
        commit-tree "$tree" -p "$now_head" -m 'kept by a rollback') ||
        fail "the changes in $where could not be kept."
    git_at update-ref "refs/sage/kept/$(printf '%.12s' "$kept")" "$kept" ||
        fail "the changes in $where could not be kept."
}

git_present_verify() {
    each_repository git_verify_repository
    git_look_extras
    for one in $extras; do
        printf '%s\n' "$path_encoded/${one#* } is still there"
    done
}

git_verify_repository() {
    git_compare
    encode "$where"
    for one in $changed $other; do
        printf '%s\n' "$encoded: $one differs from what was captured"
    done
}
