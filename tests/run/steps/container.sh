# shellcheck shell=bash
# Sourced: run_container NAME OPTION... runs a container of that name, which is gone afterwards, also when the step is ended.
run_container() {
    local name=$1
    shift
    # shellcheck disable=SC2064 # the name is needed now
    trap "podman rm --force --time 0 '$name' >/dev/null 2>&1 || true" EXIT
    trap 'exit 143' TERM INT
    # In the background: a shell that waits for a program in the foreground takes no signals.
    podman run --rm --systemd=false ${SAGE_TEST_CGROUP:+"--cgroup-parent=$SAGE_TEST_CGROUP"} --name "$name" "$@" &
    wait $!
}
