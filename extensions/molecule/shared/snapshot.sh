#!/bin/sh
# snapshot.sh ROOT...: one line for everything below that an undo must bring back as it was: type, mode, owner, size,
# time of change, target of a link, SHA-256. It shares nothing with the collection. The record itself is left out, and
# the copy of the clone that is only there while it is built from.
set -eu
for root; do
    cd "$root" 2>/dev/null || continue
    find . '(' -path ./.sage/checkpoints -o -path ./.sage/build ')' -prune -o \
        ! -path . ! -path ./.sage ! -path ./.sage/.gitignore \
        \( -type f -printf "$root %P %y %m %U:%G %s %T@\n" -o -printf "$root %P %y %m %U:%G %l\n" \)
    find . '(' -path ./.sage/checkpoints -o -path ./.sage/build ')' -prune -o -type f ! -path ./.sage/.gitignore -print0 | xargs -0r sha256sum
done | LC_ALL=C sort
