#!/usr/bin/env bash
# The quick unit tests, on this Python: all that carry no mark. Those that TESTS names are played whatever they carry.
set -euo pipefail
export HYPOTHESIS_STORAGE_DIRECTORY=$SAGE_TEST_WORK/hypothesis
base=$(mktemp -d /tmp/sage-unit.XXXXXX)
# Tests leave directories that their owner may not write to.
trap 'chmod -R u+rwx "$base"; rm -rf "$base"' EXIT
if [ -n "${TESTS:-}" ]; then
    # More processes take longer to start than a file takes to run.
    set -- -n "${SAGE_TEST_JOBS:-0}"
else
    set -- -n "${SAGE_TEST_JOBS:-2}" -m "not crash and not property and not protocol and not slow"
fi
# shellcheck disable=SC2086 # TESTS may name several
python -m pytest -p no:cacheprovider --timeout 300 --basetemp "$base" "$@" ${TESTS:-tests/unit}
