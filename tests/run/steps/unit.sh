#!/usr/bin/env bash
# unit.sh [SHARE]: unit tests on the control node's Python; only what the others cannot do, when they run too, and of the
# exhaustive ones of that a share, as 1/3.
set -euo pipefail
export HYPOTHESIS_STORAGE_DIRECTORY=$SAGE_TEST_WORK/hypothesis
# Right below /tmp: tests become another user, who cannot enter root's home.
base=$(mktemp -d /tmp/sage-unit.XXXXXX)
trap 'rm -rf "$base"' EXIT
case "${TESTS:-} $SAGE_TEST_STEPS " in
    # These find pip, zstd and other tools here only.
    " "*" unit-3.9 "*"unit-3.13 "*)
        TESTS="tests/unit/plugins/modules tests/unit/plugins/plugin_utils tests/unit/crash/test_retention.py"
        export SAGE_TEST_SHARE=${1:-}
        for name in _storage/test_archive _pruning/test_prune _rollback_shell/test_render _installers/test_find_uv; do
            TESTS+=" tests/unit/plugins/module_utils/$name.py"
        done
        ;;
esac
# shellcheck disable=SC2086 # TESTS may name several
python -m pytest -p no:cacheprovider --timeout 300 -n "${SAGE_TEST_JOBS:-2}" --basetemp "$base" ${TESTS:-tests/unit}
