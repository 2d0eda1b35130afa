#!/usr/bin/env bash
# unit_container.sh VERSION SUITE [SHARE]: unit tests on another Python, in a container without network, its checkout
# read-only; of the exhaustive ones only a share, as 1/6.
set -euo pipefail
# shellcheck source=tests/run/steps/container.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/container.sh"
# shellcheck source=tests/run/steps/library.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/library.sh"
version=$1 suite=$2
[ -n "${TESTS:-}" ] || export SAGE_TEST_SHARE=${3:-}
container_library "$version"

# Not by PYTHONPATH: what the tests start would inherit it.
# shellcheck disable=SC2016 # expanded in the container
run_container "sage-unit-$version-$$" --network none --hostname unit \
    --volume "$SAGE_TEST_SNAPSHOT:/collections/ansible_collections/intellistream/sage:ro" --volume "$library:/library" \
    --volume "$SAGE_TEST_UV:/usr/local/bin/uv:ro" \
    --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis --env LC_ALL=C.UTF-8 --env PYTEST_JOBS="${SAGE_TEST_JOBS:-2}" \
    --env TESTS="${TESTS:-tests/unit}" --env SAGE_TEST_SHARE --env SAGE_TEST_ALL \
    --workdir /collections/ansible_collections/intellistream/sage "localhost/sage-$suite" sh -euc '
        python3 -m venv --without-pip /venv
        printf "/library\n/collections\n" >"$(echo /venv/lib/python*/site-packages)/tests.pth"
        exec /venv/bin/python -m pytest -p no:cacheprovider --timeout 300 -n "$PYTEST_JOBS" --basetemp /tmp/unit $TESTS'
