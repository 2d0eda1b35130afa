#!/usr/bin/env bash
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Some cells: runme.sh KEYWORD[:LEVEL[:POLICY]]...
set -eu
exec python keywords.py "$@"
