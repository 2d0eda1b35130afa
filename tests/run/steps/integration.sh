#!/usr/bin/env bash
set -euo pipefail
# shellcheck source=tests/run/steps/ansible_test.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/ansible_test.sh"
# shellcheck disable=SC2086 # TESTS may name several targets
exec ansible-test integration --local --color no --truncate 0 ${TESTS:-}
