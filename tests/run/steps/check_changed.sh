#!/usr/bin/env bash
# ansible-lint and documentation, only of what differs from the branch main and what git does not know yet.
set -euo pipefail
base=$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
mapfile -d '' changed < <(
    { git diff -z --name-only --diff-filter=d "$base"; git ls-files -oz --exclude-standard; } | sort -zu
)
yaml=() docs=no tables=no
for path in "${changed[@]}"; do
    case $path in
        changelogs/* | docs/* | .ansible/*) ;;
        *.yml | *.yaml) yaml+=("$path") ;;
    esac
    case $path in
        plugins/modules/* | plugins/doc_fragments/* | plugins/action/* | roles/*/meta/* | meta/*) docs=yes ;;
    esac
    case $path in
        README* | docs/variables.zh.yml | roles/*/meta/* | scripts/variables.py) tables=yes ;;
    esac
done
if [ ${#yaml[@]} -gt 0 ]; then
    echo "ansible-lint: ${yaml[*]}"
    ANSIBLE_CONFIG=$SAGE_TEST_CHECKOUT/ansible.cfg NO_COLOR=1 \
        ansible-lint --offline --profile production --strict "${yaml[@]}"
fi
if [ $docs = yes ]; then
    "$SAGE_TEST_CHECKOUT/tests/run/steps/docs.sh"
elif [ $tables = yes ]; then
    python -B scripts/variables.py --check
fi
