#!/usr/bin/env bash
# unit_container.sh VERSION SUITE: unit tests on another Python, in a container without network, its checkout read-only.
set -euo pipefail
# shellcheck source=tests/run/steps/container.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/container.sh"
version=$1 suite=$2

# What the tests import is put there from outside; of ansible-core only what it sends to target hosts.
library=$SAGE_TEST_CACHE/unit-$version-$({ cat tests/requirements/unit.txt "$0"; echo "$SAGE_TEST_TOOLS"; } | sha256sum | cut -c1-16)
if [ ! -d "$library" ]; then
    trap 'rm -rf "$library.$$"' EXIT
    uv pip install --quiet --python-version "$version" --target "$library.$$" --only-binary :all: -r tests/requirements/unit.txt
    ansible=$(python -c 'import ansible, os; print(os.path.dirname(ansible.__file__))')
    mkdir "$library.$$/ansible"
    : >"$library.$$/ansible/__init__.py"
    cp -a "$ansible/module_utils" "$library.$$/ansible/"
    mv -T "$library.$$" "$library"
fi

# Not by PYTHONPATH: what the tests start would inherit it.
# shellcheck disable=SC2016 # expanded in the container
run_container "sage-unit-$version-$$" --network none --hostname unit \
    --volume "$SAGE_TEST_SNAPSHOT:/collections/ansible_collections/intellistream/sage:ro" --volume "$library:/library:ro" \
    --volume "$SAGE_TEST_UV:/usr/local/bin/uv:ro" \
    --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis --env LC_ALL=C.UTF-8 --env PYTEST_JOBS="${SAGE_TEST_JOBS:-2}" \
    --env TESTS="${TESTS:-tests/unit}" \
    --workdir /collections/ansible_collections/intellistream/sage "localhost/sage-$suite" sh -euc '
        python3 -m venv --without-pip /venv
        printf "/library\n/collections\n" >"$(echo /venv/lib/python*/site-packages)/tests.pth"
        exec /venv/bin/python -m pytest -p no:cacheprovider --timeout 300 -n "$PYTEST_JOBS" --basetemp /tmp/unit $TESTS'
