#!/bin/sh
# Makes the container images of the tests from the package mirror this machine uses: no image registry is needed.
#
#   build.sh NAME...   makes localhost/sage-NAME, unless it is there already, made by this very recipe
#
# bullseye (Python 3.9), bookworm (3.11, with uv and some real packages) and trixie (3.13) are whole systems for
# Molecule: systemd, sshd, an ordinary user `sage` who may use sudo. rpm-* have rpm, its Python module and dnf beside
# that, with an empty database. fresh-* have only what the README asks for before `make run`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
CONTAINERS_CONF=${CONTAINERS_CONF:-$here/../containers.conf}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/intellistream-sage
export CONTAINERS_CONF

system=systemd,systemd-sysv,dbus,openssh-server,python3,python3-venv,python3-apt,git,sudo,iproute2,procps,strace
system=$system,ca-certificates,attr,libcap2-bin
rpm=$system,rpm,python3-rpm,dnf,python3-dnf,createrepo-c
fresh=make,python3,python3-venv,git,ca-certificates

# The mirror is the one of the running system, whatever its format of sources; mmdebstrap's own default otherwise.
mirror() {
    cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -nE -e 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' \
            -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
        grep -E '/debian/?$' | head -n 1
}

build() {
    name=$1
    case $name in
        fresh-*) include=$fresh ;;
        rpm-*) include=$rpm ;;
        *) include=$system ;;
    esac
    suite=${name#*-}
    uv=none
    if [ "$name" = bookworm ]; then
        uv=${SAGE_TEST_UV:-$(command -v uv || true)}
        [ -n "$uv" ] || { echo "build.sh: put uv in PATH, or its path in SAGE_TEST_UV" >&2; return 1; }
    fi

    recipe=$({
        cat "$0" "$here/customize.sh"
        [ "$name" != bookworm ] || cat "$here/packages.sh"
        [ "$uv" = none ] || "$uv" --version
    } | sha256sum | cut -c1-16)
    made=$(podman image inspect --format '{{ index .Labels "recipe" }}' "localhost/sage-$name" 2>/dev/null || true)
    [ "$made" != "$recipe" ] || return 0

    work=$(mktemp -d "$cache/image.XXXXXX")
    set -- --quiet --variant=minbase --include="$include"
    [ "$name" != bookworm ] || set -- "$@" --customize-hook="$here/packages.sh \"\$1\""
    [ "$uv" = none ] || set -- "$@" --customize-hook="copy-in $uv /usr/local/bin"
    set -- "$@" --customize-hook="$here/customize.sh \"\$1\""
    for try in 1 2 3; do
        # shellcheck disable=SC2046 # no mirror found: no argument
        if mmdebstrap "$@" "$suite" "$work/root.tar" $(mirror); then break; fi
        [ "$try" != 3 ] || { rm -rf "$work"; return 1; }
        sleep 5
    done
    podman import --quiet --change "LABEL recipe=$recipe" "$work/root.tar" "localhost/sage-$name:latest" >/dev/null
    rm -rf "$work"
    echo "made localhost/sage-$name"
}

mkdir -p "$cache"
for name; do
    ( flock 9; build "$name" ) 9>"$cache/image-$name.lock"
done
