#!/usr/bin/env bash
# Every shell script by its name, and those without an ending.
set -euo pipefail
mapfile -d '' scripts < <(git ls-files -coz --exclude-standard -- '*.sh' .ci/run)
exec shellcheck "${scripts[@]}"
