#!/usr/bin/env bash
set -euo pipefail
# shellcheck source=tests/run/steps/ansible_test.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/ansible_test.sh"
# The tree is a copy. ansible-test hands no variables on, but takes this for its configuration.
cat >tests/integration/integration.cfg <<END
[defaults]
callback_plugins = $PWD/tests/integration/targets/fleet/plugins/callback

[cheaper_runs]
directory = $SAGE_TEST_WORK/modules

[sage_tests]
turn = ${SAGE_TEST_TURN:-}
END
# shellcheck disable=SC2086 # TESTS may name several targets
exec ansible-test integration --local --color no --truncate 0 ${TESTS:-}
