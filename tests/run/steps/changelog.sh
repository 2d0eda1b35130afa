#!/usr/bin/env bash
# antsibull-changelog writes a cache beside the changelog: in a copy.
set -euo pipefail
cp -a "$SAGE_TEST_SNAPSHOT" "$SAGE_TEST_WORK/copy"
cd "$SAGE_TEST_WORK/copy"
exec antsibull-changelog lint
