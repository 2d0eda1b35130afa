#!/usr/bin/env bash
set -euo pipefail
# shellcheck source=tests/run/steps/ansible_test.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/ansible_test.sh"
exec ansible-test sanity --venv --color no --truncate 0
