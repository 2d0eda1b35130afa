#!/usr/bin/env bash
# All scenarios. Containers that an earlier run left are removed by their creation.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "containers need root here: run make test as root"; exit 1; }
# Another checkout's run would use containers of the same names.
exec 9>"$SAGE_TEST_CACHE/molecule.lock"
flock 9
# Modules are packed once, see cheaper_runs.py.
export SAGE_TEST_MODULES=$SAGE_TEST_WORK/modules
export NO_COLOR=1 ANSIBLE_NOCOLOR=1
# TESTS may name scenarios, each as it is called in extensions/molecule.
read -ra named <<<"${TESTS:-}"
set -- --all
[ ${#named[@]} = 0 ] || set -- "${named[@]/#/--scenario-name=}"
exec molecule test "$@" --workers "${SAGE_TEST_JOBS:-2}" --continue-on-failure --report --destroy always
