# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages: what a change is going to install, upgrade and remove, captured as real packages.

Each existing package that will change is written as a C(.deb) of what is on disk now. What such a
file cannot hold lies below C(extra/<key>/), at its full path. The facts of a capture::

    files, bytes        what lies in the content directory
    arch                the native architecture
    changes             [{name, arch, before, after}]: what will be installed, upgraded, removed, by the resolver;
                        arch is that of what is there now, else that of what comes
    packages            key (name:arch) → of each package that is there now (also as config-files) and will change:
        version, want   as recorded ("install", "hold", "deinstall"…)
        state           "installed" or "config-files"
        auto            apt installed it only because others need it
        deb             name of its package file in the content directory; null for config-files
        conffiles       path → {"md5": as recorded (what the package had brought), "flags": "", "obsolete"…,
                        "now": what was there (P(_dpkg_database.fingerprint))}
        missing         paths of its list that were not there (somebody deleted them); they are not in the .deb
        leftovers       what lay beside its configuration files: .dpkg-dist, .dpkg-old, .ucf-old, ~ …
        extra           full paths of what has an item extra/<key>/<path>: each conffile that was there, each
                        leftover, and files of /var/lib/dpkg/info that dpkg would write differently or (for
                        config-files) that must come back
        xattrs          path → {name: hex}: file capabilities and other extended attributes (not SELinux labels)
        times           path → mtime in ns of files and links, where seconds are not enough
        modes           path → [mode, uid, gid] of what dpkg would give others: directories, conffiles, statoverrides
        overrides       path → "owner group mode": the statoverrides that concern it
        inexact         reasons why an undo of its change may not be exact
    inexact             key → reasons, of packages that are not there yet and whose scripts are known
    unknown             keys of what comes and whose maintainer scripts cannot be known yet
    diversions          [[path, to, by]] by or of captured packages
    known               key → "version letters" (letters as C(dpkg -l): ii, hi, rc) of all that was there

Paths in all of these are the package's own names; what is diverted is found by P(Database.diverted).

Items: a section with an empty name has the file C(status): the recorded stanzas of all captured
packages, whole. Then a section per package, its name the key, its info the package file's name: an item
for the package file, then for each of C(extra) one below C(extra/<key>), as P(_captured.copy) made it;
links and directories have items but nothing in the content directory.

C(left) returns {"packages": key → {"version", "state", "want", "auto", "conffiles": path → fingerprint},
"inexact": key → reasons} of each package in C(changes) that is there after the change, C(known) as above.
"""
