# shellcheck shell=sh disable=SC2154,SC2317,SC2329
# git in a work tree, and what would be lost with it. The script sets: path. Needs answers.sh.

# --- Git work trees: what was captured is in git's own objects ---

# git in the repository $where, without what its configuration would start beside it.
git_at() {
    (
        # As whoever checked it out had it.
        umask 022
        git -c core.fsmonitor= -c core.hooksPath=/dev/null -c advice.detachedHead=false -c gc.auto=0 \
            -c maintenance.auto=false -c submodule.recurse=false -c core.splitIndex=false \
            -c core.untrackedCache=false -c core.quotePath=true -c core.fsync=all -C "$where" "$@"
    )
}

# Refuses where git is needed and missing.
git_needed() {
    command -v git >/dev/null 2>&1 ||
        refuse "git is missing, and the work tree $path has to be looked at." 'Install git, then run again.'
}

# Prints something when the repository $where has what is nowhere else; $1 is a commit that is known.
git_work() {
    git_at status --porcelain || printf 'broken\n'
    git_at rev-parse --quiet --verify refs/stash
    git_at rev-list --max-count=1 HEAD --branches --not --remotes --tags "$1" -- 2>/dev/null
}
