#!/usr/bin/env bash
set -euo pipefail
export ANSIBLE_CONFIG=$SAGE_TEST_CHECKOUT/ansible.cfg NO_COLOR=1
exec ansible-lint --offline --profile production --strict
