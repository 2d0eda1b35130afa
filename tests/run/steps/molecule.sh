#!/usr/bin/env bash
# All scenarios. Containers that an earlier run left are removed by their creation.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "containers need root here: run make test as root"; exit 1; }
export NO_COLOR=1 ANSIBLE_NOCOLOR=1
exec molecule test --all --workers "${SAGE_TEST_JOBS:-2}" --report --destroy always
