#!/usr/bin/env bash
# Nothing of the build stays: no key, no id of this machine, no log, no list of packages, no trace of who built it.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"

step "packages"
apt autopurge
apt clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/backups/*

if [ -d /run/systemd/system ]; then
    step "what would write again when this machine is shut down"
    systemctl --quiet stop chrony.service systemd-random-seed.service
    systemctl --quiet stop wtmpdb-update-boot.service 2>/dev/null || true
    journalctl --relinquish-var
    if dpkg-query --show amazon-ssm-agent >/dev/null 2>&1; then
        # It carries this very session, so that it goes last.
        systemd-run --quiet --remain-after-exit --property="ExecStop=/bin/sh -c 'dpkg --purge amazon-ssm-agent; rm -rf /var/lib/amazon /var/log/amazon'" true
    fi
fi

step "cloud-init's state"
if command -v cloud-init >/dev/null; then
    cloud-init clean --logs --seed --configs all
    rm -rf /var/lib/cloud/*
fi

step "identity"
rm -f /etc/ssh/ssh_host_* /etc/hostname /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
# Empty, not absent: systemd writes a new one at the next boot, without taking it for the first boot of a new system.
: >/etc/machine-id

step "keys, histories, caches"
for home in /root /home/*; do
    rm -rf "$home"/.ssh "$home"/.cache "$home"/.bash_history "$home"/.python_history "$home"/.lesshst "$home"/.wget-hsts \
        "$home"/.sudo_as_admin_successful
done
# What cloud-init gave the builder's user it gives to each instance's anew.
rm -f /etc/sudoers.d/90-cloud-init-users
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
rm -rf /var/cache/ldconfig/aux-cache /var/cache/man/* /var/lib/systemd/timers/* /var/lib/chrony/* /var/lib/dhcp/* \
    /var/lib/wtmpdb/* /var/lib/lastlog/* /var/lib/sudo/lectured

step "logs"
find /var/log -type f -delete
rm -rf /var/log/journal/* /var/log/unattended-upgrades /var/log/zookeeper

step "temporary files"
rm -rf "$IMAGE" /var/tmp/* /var/tmp/.[!.]*
sync
