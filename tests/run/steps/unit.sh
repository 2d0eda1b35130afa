#!/usr/bin/env bash
# Unit tests on the control node's Python; what takes longest not a third time, when two others run it.
set -euo pipefail
export HYPOTHESIS_STORAGE_DIRECTORY=$SAGE_TEST_WORK/hypothesis
# Right below /tmp: tests become another user, who cannot enter root's home.
base=$(mktemp -d /tmp/sage-unit.XXXXXX)
trap 'rm -rf "$base"' EXIT
case "${TESTS:-} $SAGE_TEST_STEPS" in
    " "*"unit-3.9 unit-3.13"*) set -- --ignore tests/unit/crash --ignore tests/unit/property ;;
esac
# shellcheck disable=SC2086 # TESTS may name several
python -m pytest -p no:cacheprovider --timeout 300 -n "${SAGE_TEST_JOBS:-2}" --basetemp "$base" "$@" ${TESTS:-tests/unit}
