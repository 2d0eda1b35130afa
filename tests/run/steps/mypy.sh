#!/usr/bin/env bash
# Through the link, so that modules have the names by which they import each other.
set -euo pipefail
tree=.ansible/collections/ansible_collections/intellistream/sage
exec mypy --cache-dir "$SAGE_TEST_CACHE/mypy" $tree/plugins $tree/tests/unit $tree/tests/system $tree/tests/run \
    $tree/tests/real $tree/scripts
