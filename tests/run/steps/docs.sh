#!/usr/bin/env bash
# The READMEs' tables of variables; documentation of plugins and roles, in a real ansible_collections tree.
set -euo pipefail
python -B scripts/variables.py --check
root=$SAGE_TEST_WORK/ansible_collections/intellistream
mkdir -p "$root"
cp -a "$SAGE_TEST_SNAPSHOT" "$root/sage"
cd "$root/sage"
export ANSIBLE_COLLECTIONS_PATH=$SAGE_TEST_WORK
exec antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all --disallow-unknown-collection-refs .
