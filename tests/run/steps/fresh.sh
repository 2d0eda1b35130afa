#!/usr/bin/env bash
# fresh.sh SUITE: what the README promises, by an ordinary user in a container that has only what the README asks for.
set -euo pipefail
# shellcheck source=tests/run/steps/container.sh
. "$SAGE_TEST_CHECKOUT/tests/run/steps/container.sh"
suite=$1

# The working tree as a repository to clone.
git -c init.defaultBranch=main init --quiet "$SAGE_TEST_WORK/source"
cp -a "$SAGE_TEST_SNAPSHOT/." "$SAGE_TEST_WORK/source/"
mkdir -p "$SAGE_TEST_WORK/source/.ansible/collections/ansible_collections/intellistream"
ln -s ../../../.. "$SAGE_TEST_WORK/source/.ansible/collections/ansible_collections/intellistream/sage"
cd "$SAGE_TEST_WORK/source"
git add --force .
git -c user.name=test -c user.email=test@localhost commit --quiet --message snapshot
ansible-galaxy collection build --output-path "$SAGE_TEST_WORK" . >/dev/null

set -- --volume "$SAGE_TEST_WORK/source:/source:ro" --volume "$SAGE_TEST_CHECKOUT/tests/fresh:/fresh:ro" \
    --volume "$(echo "$SAGE_TEST_WORK"/intellistream-sage-*.tar.gz):/collection.tar.gz:ro"
# As in the Molecule containers: how this machine reaches the network.
bundle=${SSL_CERT_FILE:-${PIP_CERT:-}}
if [ -n "$bundle" ]; then
    inside=/etc/ssl/certs/ca-certificates.crt
    set -- "$@" --volume "$bundle:$inside:ro" --env SSL_CERT_FILE=$inside --env PIP_CERT=$inside
fi
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL UV_INDEX_URL \
    PIP_DEFAULT_TIMEOUT PIP_RETRIES; do
    [ -z "${!name:-}" ] || set -- "$@" --env "$name=${!name}"
done
run_container "sage-fresh-$suite-$$" --hostname fresh --user sage --workdir /home/sage \
    --env HOME=/home/sage "$@" "localhost/sage-fresh-$suite" bash /fresh/check.sh
