#!/usr/bin/env bash
# Debian's packages: everything up to date now, and nothing that updates itself later.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"

step "cloud-init has ended"
if command -v cloud-init >/dev/null && [ -d /run/systemd/system ]; then
    # 2 is "done, with something to complain about"; what apt needs is that nobody else is at work.
    cloud-init status --wait >/dev/null || [ $? = 2 ]
fi

step "no upgrades by themselves"
# A server must not restart or change at an hour that nobody chose: patching is a new image (packer/README.md).
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer
if [ -d /run/systemd/system ]; then
    systemctl --quiet stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service || true
fi

step "package lists and upgrades"
apt update --error-on=any
apt purge unattended-upgrades
apt full-upgrade

step "packages"
install_packages "openjdk-$JAVA_VERSION-jre-headless" ca-certificates chrony curl e2fsprogs python3
