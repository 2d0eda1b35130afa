#!/usr/bin/env bash
# run.sh IMAGE [PYTEST ARGUMENT...]: tests of the system's package managers in a container that is thrown away:
#
#   tests/system/run.sh bookworm tests/system/dpkg/test_capture.py -k conffile
#   tests/system/run.sh rpm-trixie
#
# As root, without network, with the container's own Python; what tests import comes from outside. Called by hand it uses
# the checkout as it is, and the newest tools that `make test` made, or those in PATH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SAGE_TEST_CHECKOUT=${SAGE_TEST_CHECKOUT:-$(cd "$here/../.." && pwd)}
SAGE_TEST_CACHE=${SAGE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/intellistream-sage}
SAGE_TEST_SNAPSHOT=${SAGE_TEST_SNAPSHOT:-$SAGE_TEST_CHECKOUT}
CONTAINERS_CONF=${CONTAINERS_CONF:-$SAGE_TEST_CHECKOUT/extensions/molecule/containers.conf}
export CONTAINERS_CONF
if [ -z "${SAGE_TEST_TOOLS:-}" ]; then
    complete=$(find "$SAGE_TEST_CACHE" -maxdepth 2 -path '*/tools-*/complete' -printf '%T@ %h\n' | sort -rn | head -n 1)
    SAGE_TEST_TOOLS=${complete#* }
    PATH=${SAGE_TEST_TOOLS:+$SAGE_TEST_TOOLS/bin:}$PATH
fi
# shellcheck source=tests/run/steps/container.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/container.sh"
# shellcheck source=tests/run/steps/library.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/library.sh"

image=$1
shift
case $image in
    *bullseye) version=3.9 ;;
    *bookworm) version=3.11 ;;
    *trixie) version=3.13 ;;
    *) echo "run.sh: no such image: $image" >&2; exit 2 ;;
esac
case $image in
    rpm-*) tests=tests/system/rpm ;;
    *) tests=tests/system/dpkg ;;
esac
[ $# -gt 0 ] || set -- "$tests"
container_library "$version"

# The system's own rpm and dnf are imported, so its site packages are visible. Byte code would look like a change.
collection=/collections/ansible_collections/intellistream/sage
# shellcheck disable=SC2016 # expanded in the container
run_container "sage-system-$image-$$" --network none --hostname system \
    --volume "$SAGE_TEST_SNAPSHOT:$collection:ro" --volume "$library:/library:ro" \
    --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis --env LC_ALL=C.UTF-8 --env SAGE_SYSTEM_TEST=1 \
    --env PYTHONDONTWRITEBYTECODE=1 --env DEBIAN_FRONTEND=noninteractive --env SAGE_TEST_ALL --env SAGE_TEST_SHARE --env SAGE_KILLS \
    --workdir "$collection" "localhost/sage-$image" sh -euc '
        python3 -m venv --without-pip --system-site-packages /venv
        printf "/library\n/collections\n" >"$(echo /venv/lib/python*/site-packages)/tests.pth"
        exec /venv/bin/python -m pytest -p no:cacheprovider -o pythonpath= --timeout 300 --basetemp /tmp/pytest "$@"' sh "$@"
