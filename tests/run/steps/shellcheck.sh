# Every shell script by its name or its first line. Steps of this directory are run by bash without having such a line.
set -euo pipefail
mapfile -d '' scripts < <(git ls-files -coz --exclude-standard -- '*.sh' .ci/run ':!tests/run/steps')
shellcheck "${scripts[@]}"
exec shellcheck --shell=bash tests/run/steps/*.sh
