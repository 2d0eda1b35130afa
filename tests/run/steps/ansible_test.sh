# shellcheck shell=bash
# Sourced by the steps that run ansible-test: a copy in a real ansible_collections tree becomes the working directory.
set -euo pipefail
root=$SAGE_TEST_WORK/ansible_collections/intellistream
mkdir -p "$root"
cp -a "$SAGE_TEST_SNAPSHOT" "$root/sage"

# A home of its own: ansible-test keeps its environments there and hands on no variables, so pip's settings lie there too,
# and what a target leaves in it is not the developer's.
home=$SAGE_TEST_CACHE/home
mkdir -p "$home/.config/pip"
(umask 077 && python "$SAGE_TEST_CHECKOUT/tests/run/pip_settings.py" >"$home/.config/pip/pip.conf.$$")
mv "$home/.config/pip/pip.conf.$$" "$home/.config/pip/pip.conf"

# ansible-test fetches pip from outside the package index. It is satisfied with a cached script, here one that installs
# the very version it wants from the index's wheel.
pip_version=$(sed -nE "s/^ +pip='([0-9.]+)',$/\1/p" \
    "$(python -c 'import ansible_test, os; print(os.path.dirname(ansible_test.__file__))')/_internal/python_requirements.py" | head -n 1)
pip_cache=$home/.ansible/test/cache
pip_script=$pip_cache/get_pip_${pip_version//./_}.py
if [ ! -e "$pip_script" ]; then
    mkdir -p "$pip_cache"
    python -m pip download --quiet --no-deps -d "$pip_cache" "pip==$pip_version"
    cat >"$pip_script.$$" <<END
import os
import runpy
import sys

wheel = os.path.join("$pip_cache", "pip-$pip_version-py3-none-any.whl")
sys.path.insert(0, wheel)
sys.argv = ["pip", "install", "--disable-pip-version-check", "--no-index", "--no-deps", wheel]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
END
    mv "$pip_script.$$" "$pip_script"
fi

# Interpreters under their own names: pyenv's shims would not do.
mkdir -p "$SAGE_TEST_WORK/pythons"
base=$(python -c 'import sys; print(sys._base_executable)')
for candidate in /usr/bin/python3.* "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3.* "${base%/*}"/python3.*; do
    if [[ $candidate =~ /python3\.[0-9]+$ && -x $candidate ]]; then
        ln -sfn "$candidate" "$SAGE_TEST_WORK/pythons/"
    fi
done
export HOME=$home
export PATH="$SAGE_TEST_WORK/pythons:$PATH"
unset ANSIBLE_COLLECTIONS_PATH ANSIBLE_CONFIG PYTHONPATH
cd "$root/sage"
