#!/usr/bin/env bash
# Runs in a bare container: /source is the repository, /collection.tar.gz the built collection.
set -u
failed=0

# check DESCRIPTION COMMAND...: its output is shown only when it fails.
check() {
    local description=$1 start=$SECONDS
    shift
    if "$@" >/tmp/output 2>&1; then
        echo "ok: $description ($((SECONDS - start)) s)"
    else
        echo "FAILED: $description: $*"
        cat /tmp/output
        failed=1
    fi
}

# The recap says that nothing changed, and something was looked at.
nothing_changed() {
    "$@" | tee /tmp/recap
    [ "${PIPESTATUS[0]}" = 0 ] && grep -q 'changed=0 ' /tmp/recap && ! grep -qE 'changed=[1-9]' /tmp/recap
}
refused() {
    local word=$1
    shift
    if "$@" >/tmp/refusal 2>&1; then
        cat /tmp/refusal
        return 1
    fi
    cat /tmp/refusal
    grep -q "$word" /tmp/refusal
}
within() {
    local limit=$1 start=$SECONDS
    shift
    "$@" || return
    [ $((SECONDS - start)) -le "$limit" ] || { echo "took $((SECONDS - start)) s"; return 1; }
}

git config --global --add safe.directory '*'
check "clone" git clone --quiet /source "$HOME/my sage"
cd "$HOME/my sage" || exit 1

# A system without Python, as far as the script can see.
mkdir /tmp/few
for program in sh dirname cat env; do ln -s "$(command -v $program)" /tmp/few/; done
check "a missing Python is named" refused "python3-venv" env PATH=/tmp/few sh scripts/run.sh
check "make run installs" make run
check "SAGE verifies itself" "$HOME/sage/.sage/venv/bin/sage" verify
check "make run again changes nothing, in seconds" within 20 nothing_changed make run
check "make run with another root, in check mode" make run ARGS="-e sage_root=/tmp/checked --check"
check "check mode wrote nothing" test ! -e /tmp/checked
check "make run with another root" make run ARGS="-e sage_root=/tmp/other"
check "SAGE verifies itself there" /tmp/other/.sage/venv/bin/sage verify
check "make run without a home directory" env HOME=/nonexistent make run ARGS="-e sage_root=/tmp/homeless"
check "make run without a locale" env -u LANG LC_ALL=C make run ARGS="-e sage_root=/tmp/other"
check "the checkout stays clean" test -z "$(git status --porcelain)"

cd /tmp || exit 1
PATH="$HOME/my sage/.venv/bin:$PATH"
export ANSIBLE_LOCALHOST_WARNING=false
check "the tarball installs" ansible-galaxy collection install --offline -p /tmp/collections /collection.tar.gz
printf 'all:\n  hosts:\n    here:\n      ansible_connection: local\n' >/tmp/hosts.yml
export ANSIBLE_COLLECTIONS_PATH=/tmp/collections
check "its playbook runs" ansible-playbook intellistream.sage.install_sage -i /tmp/hosts.yml -e sage_root=/tmp/other
exit $failed
