#!/bin/sh
# Called by mmdebstrap with the new system's directory.
set -eu
root=$1

chroot "$root" useradd --create-home --shell /bin/bash sage
if [ -d "$root/etc/sudoers.d" ]; then
    echo 'sage ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/sage"
    chmod 0440 "$root/etc/sudoers.d/sage"
fi
if [ -d "$root/etc/ssh" ]; then
    # An account without a password is locked, and sshd with PAM refuses locked accounts.
    chroot "$root" usermod --password '*' sage
    install -d -m 0700 "$root/home/sage/.ssh"
    chroot "$root" chown sage: /home/sage/.ssh
fi
if [ -x "$root/usr/bin/rpmdb" ]; then
    # Debian's rpm knows another directory for its database, and its plugin that makes new namespaces needs CAP_SYS_ADMIN.
    mkdir -p "$root/etc/rpm"
    printf '%%_dbpath /var/lib/rpm\n%%__transaction_unshare %%{nil}\n' >"$root/etc/rpm/macros"
    chroot "$root" rpmdb --initdb
fi
# Nothing in a container needs consoles, and their restarts fill the journal.
rm -f "$root"/etc/systemd/system/getty.target.wants/*
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/locale/*
