# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of rpm: those that a change is going to replace or remove, each as a real package again.

The facts of a capture, beyond C(files) and C(bytes)::

    "dbpath":  "/var/lib/rpm"
    "tid":     1763769600         the newest INSTALLTID there was; that of an undo has to be larger
    "history": 17                 the id of dnf's newest transaction then; 0 without dnf
    "changes": [{"key", "name", "arch", "before", "after"}]
    "known":   {key: evr}         all that was installed
    "marks":   {key: reason}      dnf's reason for each of those; {} without dnf's history
    "packages": {key: {           what the change replaces or removes
        "name", "arch", "evr", "nevra",
        "file":        "foo-1-1.noarch.rpm"     in the content directory
        "installonly": false                    several versions may be installed
        "reason":      "user", "dependency", "weak-dependency", "group", "clean", "unknown"; "" without dnf
        "tid", "time":                          its INSTALLTID and INSTALLTIME
        "config":      {path: item}             each %config file as it was; absent ones too
        "extra":       {path: [at, item]}       what no package file holds: ghosts, what has another type than the
                                                package says, C(.rpmnew), C(.rpmsave), C(.rpmorig) of its
                                                configuration. C(at) is the content's place below the content
                                                directory, "" for anything but a file. Leftovers that are not
                                                listed here were not there.
        "missing":     [path]                   files of the package that were not there; ghosts in the saved one
        "states":      {path: state}            of files that rpm does not have as installed (1 replaced, 2 not
                                                installed, 3 net shared, 4 wrong colour)
        "inexact":     [reason]                 what an undo cannot promise, for people
    }}

A key is C(name.arch), of what may be installed in several versions C(name-version-release.arch). C(evr) is
C([epoch:]version-release). An item is a L(_captured.Item) as a list. Ghost directories are only listed
themselves, not what is in them.

In the list of items, each captured package has two sections: C(@ key evr file) with the content
directory's own files (the package, C(extra/…)), paths relative to that directory; and
C(@ key evr files) with each path of the package as it was, relative to C(/), for verifying an undo:
content, mode, owner, link target, extended attributes, with C(a) for what was missing. Devices are left out.
"""
