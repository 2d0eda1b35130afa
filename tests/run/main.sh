#!/bin/sh
# Prepares this machine for the checks and runs them: main.sh [GROUP or STEP...], main.sh --bench [OPTIONS], main.sh --real [OPTIONS]
#
# Debian packages that are missing are installed when it may do so; all else lives in
# ${XDG_CACHE_HOME:-~/.cache}/intellistream-sage, named by a hash of what it was made from.
set -eu

cd "$(dirname "$0")/../.."
SAGE_TEST_CHECKOUT=$(pwd)
SAGE_TEST_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/intellistream-sage
export SAGE_TEST_CHECKOUT SAGE_TEST_CACHE
mkdir -p "$SAGE_TEST_CACHE"

basic="git python3 python3-venv shellcheck"
tests="openssh-client strace attr acl at"
containers="podman runc mmdebstrap netavark aardvark-dns iptables uidmap fuse-overlayfs slirp4netns"

# Packages that are not installed, among those named.
missing() {
    for package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf ' %s' "$package"
    done
}

packages() {
    command -v dpkg-query >/dev/null || { echo "make test: no Debian here; going on without looking for packages" >&2; return; }
    wanted=$basic
    case " $* " in
        "  " | *unit* | *system* | *molecule* | *fresh* | *image* | *--bench*) wanted="$basic $tests $containers" ;;
        *integration*) wanted="$basic $tests" ;;
        # It needs nothing but Python; what is missing is not run, and said.
        " check ") return 0 ;;
    esac
    # shellcheck disable=SC2046,SC2086 # lists of words
    set -- $(missing $wanted)
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "make test: these packages are missing: $*. As root: apt-get install $*" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    echo "installing $*"
    # The lists may be missing or old; one source that does not answer must not stop the others.
    log=$SAGE_TEST_CACHE/apt.log
    for try in 1 2 3; do
        { apt-get update || true; apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null && return
        sleep "$try"
    done
    cat "$log" >&2
    exit 1
}

# A Python that ansible-core and the checkers run on: the newest of the system's own, or else of any. One that somebody
# built takes a quarter longer for Ansible. SAGE_TEST_PYTHON names another one, as python3.13 or by its path.
find_python() {
    developers=${PYENV_ROOT:-$HOME/.pyenv}/versions
    for candidate in ${SAGE_TEST_PYTHON:-} /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 \
        python3.13 "$developers"/3.13.*/bin/python3.13 python3.12 "$developers"/3.12.*/bin/python3.12 \
        python3.11 "$developers"/3.11.*/bin/python3.11; do
        # pyenv's shims answer to any name, and slowly: ask for the version and the real path.
        # Of a virtual environment the Python it was made of, or the tools would be made anew in each.
        python=$("$candidate" -c 'import ensurepip, os, sys, venv
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable))) if "%d.%d" % sys.version_info[:2] == sys.argv[1] else sys.exit(1)' "${candidate##*python}" 2>/dev/null) && return
        [ "$candidate" != "${SAGE_TEST_PYTHON:-}" ] || break
    done
    echo "make test: needs Python 3.11, 3.12 or 3.13 with venv; on Debian, as root: apt-get install python3-venv" >&2
    exit 1
}

# The index and certificates that pip has are uv's too.
uv_environment() {
    index=$("$python" -m pip config get global.index-url 2>/dev/null || true)
    UV_INDEX_URL=${UV_INDEX_URL:-${PIP_INDEX_URL:-$index}}
    SSL_CERT_FILE=${SSL_CERT_FILE:-${PIP_CERT:-}}
    if [ -n "$UV_INDEX_URL" ]; then export UV_INDEX_URL; else unset UV_INDEX_URL; fi
    if [ -n "$SSL_CERT_FILE" ]; then export SSL_CERT_FILE; else unset SSL_CERT_FILE; fi
    export UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
    # A slow moment of the network fails no run.
    export PIP_RETRIES=8 UV_HTTP_RETRIES=8 PIP_DEFAULT_TIMEOUT="${PIP_DEFAULT_TIMEOUT:-60}" UV_HTTP_CONNECT_TIMEOUT=60
}

tools() {
    SAGE_TEST_TOOLS=$SAGE_TEST_CACHE/tools-$({ cat tests/requirements/*.txt tests/run/main.sh; "$python" -VV; echo "$python"; } |
        sha256sum | cut -c1-16)
    export SAGE_TEST_TOOLS
    [ ! -e "$SAGE_TEST_TOOLS/complete" ] || return 0
    echo "making $SAGE_TEST_TOOLS"
    "$python" -m venv --clear "$SAGE_TEST_TOOLS"
    "$SAGE_TEST_TOOLS/bin/pip" install --quiet -r tests/requirements/run.txt
    "$SAGE_TEST_TOOLS/bin/uv" pip install --quiet --python "$SAGE_TEST_TOOLS/bin/python" -r tests/requirements/test.txt ||
        "$SAGE_TEST_TOOLS/bin/pip" install --quiet -r tests/requirements/test.txt
    # 80 of the 50,000 files of PyPI's package `ansible` are wanted.
    "$SAGE_TEST_TOOLS/bin/pip" download --quiet --no-deps -d "$SAGE_TEST_TOOLS/wheels" -r tests/requirements/collections.txt
    "$SAGE_TEST_TOOLS/bin/python" tests/run/take.py "$SAGE_TEST_TOOLS/wheels" ansible_collections/containers/podman/ \
        "$SAGE_TEST_TOOLS/collections"
    rm -rf "$SAGE_TEST_TOOLS/wheels"
    touch "$SAGE_TEST_TOOLS/complete"
}

# Modules that run on this machine are compiled once, too; what was not used for a week is forgotten.
keep_code() {
    library=$(echo "$SAGE_TEST_TOOLS"/lib/python3.*/site-packages)
    mkdir -p "$library/sage-test-code" "$SAGE_TEST_CACHE/containers/code"
    chmod 1777 "$SAGE_TEST_CACHE/containers/code"
    find "$library/sage-test-code" "$SAGE_TEST_CACHE/containers/code" -type f -mtime +7 -delete
    cmp -s extensions/molecule/shared/host_python/usercustomize.py "$library/sage_test_code.py" && return
    cp extensions/molecule/shared/host_python/usercustomize.py "$library/sage_test_code.py"
    echo "import sage_test_code" >"$library/sage_test_code.pth"
}

packages "$@"
find_python
uv_environment
exec 9>"$SAGE_TEST_CACHE/tools.lock"
command -v flock >/dev/null && flock 9
tools
keep_code
exec 9>&-

# Without byte code every start of Ansible costs seconds.
unset PYTHONDONTWRITEBYTECODE
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8
export PATH="$SAGE_TEST_TOOLS/bin:$PATH"
export SAGE_TEST_UV="$SAGE_TEST_TOOLS/bin/uv"
export SAGE_TEST_COLLECTIONS="$SAGE_TEST_TOOLS/collections"
export ANSIBLE_COLLECTIONS_PATH="$SAGE_TEST_CHECKOUT/.ansible/collections:$SAGE_TEST_COLLECTIONS"
export CONTAINERS_CONF="$SAGE_TEST_CHECKOUT/extensions/molecule/containers.conf"

case ${1:-} in
--bench) shift && exec python tests/benchmark/run.py "$@" ;;
--real) shift && exec python tests/real/environments.py "$@" ;;
esac
exec python tests/run/run.py "$@"
