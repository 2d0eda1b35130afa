#!/usr/bin/env bash
# unit_container.sh VERSION SUITE: unit tests on another Python, in a container without network, its checkout read-only.
set -euo pipefail
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

exec podman run --rm --timeout 1500 --network none --systemd=false --hostname unit --name "sage-unit-$version-$$" \
    --volume "$SAGE_TEST_SNAPSHOT:/collections/ansible_collections/intellistream/sage:ro" --volume "$library:/library:ro" \
    --env PYTHONPATH=/library:/collections --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis --env LC_ALL=C.UTF-8 \
    --workdir /collections/ansible_collections/intellistream/sage "localhost/sage-$suite" \
    python3 -m pytest -p no:cacheprovider -n "${SAGE_TEST_JOBS:-2}" tests/unit
