#!/bin/sh
# Runs the playbook that installs SAGE from this checkout: run.sh [ansible-playbook's options]
#
# The first time it makes .venv with ansible-core and uv. It needs no root and no container.
set -eu

cd "$(dirname "$0")/.."
here=$(pwd)
playbook=${SAGE_PLAYBOOK:-playbooks/install_sage.yml}

refuse() {
    echo "make run: $1" >&2
    exit 1
}

# The first Python that can be used, unless PYTHON names one.
find_python() {
    found=
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        found="$found $candidate ($version)"
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null ||
            refuse "$candidate ($version) cannot make virtual environments. On Debian or Ubuntu, as root: apt-get install python3-venv"
        python=$candidate
        return
    done
    refuse "needs Python 3.11 or newer; found:${found:- none}. On Debian 12 or newer, or Ubuntu 24.04 or newer, as root: \
apt-get install python3 python3-venv. Or name another one: make run PYTHON=/path/to/python3"
}

# Ansible and its installer, as tests/requirements/run.txt wants them; made again when that or the Python changes.
make_venv() {
    stamp=.venv/intellistream-sage.stamp
    wanted=$(cat tests/requirements/run.txt; [ -z "${PYTHON:-}" ] || echo "$PYTHON"; echo "$here")
    if [ -x .venv/bin/ansible-playbook ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
        .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    find_python
    echo "make run: making .venv with ansible-core ($python)"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --retries 5 --requirement tests/requirements/run.txt ||
        refuse "could not install ansible-core into .venv; pip's message above says why. Behind a proxy or a private \
certificate authority set https_proxy, PIP_INDEX_URL or PIP_CERT and run it again."
    printf '%s\n' "$wanted" >"$stamp"
}

make_venv

# Git for Windows, zip files and some editors lose symbolic links.
link=.ansible/collections/ansible_collections/intellistream/sage
if [ ! -e "$link/galaxy.yml" ]; then
    mkdir -p "${link%/*}"
    rm -f "$link"
    ln -s ../../../.. "$link"
fi

# Ansible refuses other encodings.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8
# Ansible, uv and pip keep files below the home directory; some service accounts have none.
if [ ! -d "${HOME:-/nonexistent}" ] || [ ! -w "${HOME:-/nonexistent}" ]; then
    export ANSIBLE_HOME="$here/.ansible" ANSIBLE_REMOTE_TEMP="$here/.ansible/tmp" XDG_CACHE_HOME="$here/.cache"
fi
# By name: Ansible ignores an ansible.cfg that it only finds in a directory which others may write to.
export ANSIBLE_CONFIG="$here/ansible.cfg"
# Without byte code every start of Ansible costs seconds.
unset PYTHONDONTWRITEBYTECODE
# What a run tells people to call afterwards.
export SAGE_COMMAND="$here/scripts/run.sh"
PATH="$here/.venv/bin:$PATH"
exec .venv/bin/python .venv/bin/ansible-playbook "$playbook" "$@"
