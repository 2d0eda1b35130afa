#!/usr/bin/env bash
# Unit tests on the control node's Python.
set -euo pipefail
export HYPOTHESIS_STORAGE_DIRECTORY=$SAGE_TEST_WORK/hypothesis
exec python -m pytest -p no:cacheprovider -n "${SAGE_TEST_JOBS:-2}" --basetemp "$SAGE_TEST_WORK/tmp" tests/unit
