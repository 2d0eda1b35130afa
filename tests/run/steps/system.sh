#!/usr/bin/env bash
# system.sh IMAGE [SHARE]: the tests of that image's package managers, of dpkg or of rpm, or a share of them, as 1/2.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "containers need root here: run make test as root"; exit 1; }
[ -n "${TESTS:-}" ] || export SAGE_TEST_SHARE=${2:-}
# shellcheck disable=SC2086 # TESTS may name several
exec "$SAGE_TEST_CHECKOUT/tests/system/run.sh" "$1" ${TESTS:-}
