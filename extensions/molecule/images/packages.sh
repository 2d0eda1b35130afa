#!/bin/sh
# packages.sh ROOT: puts real packages into /srv/packages of a new system, for tests that have no network: every version
# there is of some that belong together, and a large one with what it needs.
set -eu
root=$1

mirror=$(sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]]+([^[:space:]]+).*/\2 \3/p' \
    "$root/etc/apt/sources.list" | head -n 1)
suite=${mirror#* }
mirror=${mirror%% *}
mirror=${mirror%/}
{
    cat "$root/etc/apt/sources.list"
    echo "deb $mirror $suite-updates main"
    echo "deb $mirror-security $suite-security main"
} >"$root/tmp/packages.list"
mkdir -p "$root/srv/packages/partial"
# shellcheck disable=SC2016 # expanded in the chroot
chroot "$root" sh -euc '
    cd /srv/packages
    printf "%s\n" "APT::Sandbox::User root;" "Dir::Etc::SourceList /tmp/packages.list;" "quiet 2;" >/tmp/packages.conf
    export APT_CONFIG=/tmp/packages.conf
    apt-get update
    apt-get install --yes --download-only --no-install-recommends -o Dir::Cache::Archives=/srv/packages libllvm14
    for name in openssl libssl3; do
        for version in $(apt-cache madison "$name" | cut -d "|" -f 2 | sort -u); do
            apt-get download "$name=$version"
        done
    done'
rm -rf "$root/srv/packages/partial" "$root/srv/packages/lock" "$root/tmp/packages.list" "$root/tmp/packages.conf"
