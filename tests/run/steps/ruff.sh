#!/usr/bin/env bash
set -euo pipefail
exec ruff check --no-cache --output-format concise .
