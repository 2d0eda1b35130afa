#!/usr/bin/env bash
# The tarball as Galaxy would take it; what is in it is what a user gets.
set -euo pipefail
ansible-galaxy collection build --output-path "$SAGE_TEST_WORK" "$SAGE_TEST_SNAPSHOT"
tarball=$(echo "$SAGE_TEST_WORK"/intellistream-sage-*.tar.gz)
listed=$(tar -tzf "$tarball")
for unwanted in Makefile ansible.cfg .ansible/ tests/run/ scripts/ inventory/; do
    ! grep -q "^$unwanted" <<<"$listed" || { echo "$unwanted is in the tarball"; exit 1; }
done
cat >"$SAGE_TEST_WORK/importer.cfg" <<'END'
[galaxy-importer]
CHECK_REQUIRED_TAGS = True
RUN_ANSIBLE_LINT = False
RUN_ANSIBLE_TEST = False
REQUIRE_V1_OR_GREATER = True
END
cd "$SAGE_TEST_WORK"
GALAXY_IMPORTER_CONFIG=$SAGE_TEST_WORK/importer.cfg python -m galaxy_importer.main "$tarball" | tee importer.log
! grep -E '^(ERROR|WARNING)' importer.log
