#!/usr/bin/env bash
# Every shell script by its name, and those without an ending; and rollback.sh, which is made of some of them.
set -euo pipefail
mapfile -d '' scripts < <(git ls-files -coz --exclude-standard -- '*.sh' .ci/run)
PYTHONPATH=.ansible/collections python -B scripts/rollback_sh.py >"$SAGE_TEST_WORK/rollback.sh"
exec shellcheck "${scripts[@]}" "$SAGE_TEST_WORK/rollback.sh"
