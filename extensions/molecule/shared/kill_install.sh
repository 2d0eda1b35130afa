#!/usr/bin/env bash
# kill_install.sh CONTAINER ROOT PHASE PATTERN REMOTE ARGUMENT...: runs the arguments as a process group of their own,
# kills it with SIGKILL when the record on the container says that PHASE has started and a process there matches
# PATTERN, and with REMOTE=yes those processes and their parents too.
set -eu
container=$1 root=$2 phase=$3 pattern=$4 remote=$5
shift 5
set -m
"$@" >"$MOLECULE_EPHEMERAL_DIRECTORY/killed.log" 2>&1 </dev/null &
controller=$!
set +m
# One process on the container that watches: starting one for every look would be too slow.
podman exec -i "$container" sh -s "$root/.sage/checkpoints/install_progress.json" "$phase" "$pattern" "$remote" <<'WATCH' &
    for look in $(seq 3000); do
        if grep -q "\"current_phase\": \"$2\"" "$1" 2>/dev/null && found=$(pgrep -f -- "$3"); then
            # shellcheck disable=SC2086 # lists
            if [ "$4" = yes ]; then
                # The module that called it would tell of its end: it goes first.
                kill -9 $(ps -o ppid= -p $found) $found
            else
                # It waits for the kill, however long it takes to be told.
                kill -STOP $found
            fi
            exit 0
        fi
        sleep 0.05
    done
    echo "$2 was never seen" >&2
    exit 1
WATCH
watcher=$!
seen=0
wait "$watcher" || seen=$?
if ! kill -9 -- "-$controller" 2>/dev/null; then
    echo "the run ended before it was killed" >&2
    seen=1
fi
# What runs on the host outlives its controller.
[ "$remote" = yes ] || podman exec "$container" pkill -CONT -f -- "$pattern" || true
# Only the leader is our child; the others are gone when nothing of the group is left.
wait "$controller" 2>/dev/null || true
if [ "$seen" != 0 ]; then
    cat "$MOLECULE_EPHEMERAL_DIRECTORY/killed.log" >&2
fi
exit "$seen"
