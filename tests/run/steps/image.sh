#!/usr/bin/env bash
# image.sh NAME...: the images that other steps start containers from.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "containers need root here: run make test as root"; exit 1; }
exec extensions/molecule/images/build.sh "$@"
