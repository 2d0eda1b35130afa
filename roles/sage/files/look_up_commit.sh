#!/bin/sh
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Prints the commit of a branch, a tag, or HEAD: look_up_commit.sh NAME CLONE ASK
#
# With ASK=true, and where there is no clone yet, of the repository $SAGE_REPOSITORY; else, and where that cannot be
# reached, what is checked out in CLONE. A second line says "unreached" then. Prints nothing where neither has it.
listed=
unreached=
if [ "$3" = true ] || [ ! -e "$2/.git" ]; then
    listed=$(git ls-remote -- "$SAGE_REPOSITORY" HEAD "refs/heads/$1" "refs/tags/$1" "refs/tags/$1^{}") || unreached=unreached
fi

pick() {
    printf '%s\n' "$listed" | while read -r commit name; do
        [ "$name" != "$1" ] || printf '%s\n' "$commit"
    done
}

commit=
if [ "$1" = HEAD ]; then
    commit=$(pick HEAD)
else
    # A branch comes before a tag of the same name, and a tag stands for the commit that it points to.
    for name in "refs/heads/$1" "refs/tags/$1^{}" "refs/tags/$1"; do
        [ -n "$commit" ] || commit=$(pick "$name")
    done
fi
if [ -z "$listed" ] && [ -e "$2/.git" ]; then
    commit=$(git -C "$2" rev-parse HEAD)
fi
printf '%s\n' "$commit" $unreached
