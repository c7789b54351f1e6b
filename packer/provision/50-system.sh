#!/usr/bin/env bash
# Units, kernel settings, time, logs: what stands in packer/files/, each in its place.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"
files=$IMAGE/files

step "units"
# None is enabled here: `zkboot timers` does that once there is something to keep.
install -D --mode=0644 --target-directory=/etc/systemd/system "$files"/*.service "$files"/*.timer
install -D --mode=0755 --target-directory=/usr/local/sbin "$files/zkboot-volume"
install -D --mode=0644 "$files/volume.rules" /etc/udev/rules.d/90-zkboot-volume.rules
install -D --mode=0644 "$files/tmpfiles.conf" /etc/tmpfiles.d/zkboot.conf

step "kernel, journal, network, time"
install -D --mode=0644 "$files/sysctl.conf" /etc/sysctl.d/90-zkboot.conf
install -D --mode=0644 "$files/journald.conf" /etc/systemd/journald.conf.d/90-zkboot.conf
install -D --mode=0644 "$files/resolved.conf" /etc/systemd/resolved.conf.d/90-zkboot.conf
install -D --mode=0644 "$files/chrony.conf" /etc/chrony/chrony.conf
systemctl --quiet enable chrony.service

step "what is in here"
install -D --mode=0644 --target-directory=/usr/share/doc/zkboot "$IMAGE/LICENSE" "$IMAGE/NOTICE"
install --directory /usr/share/zkboot
cat >/usr/share/zkboot/image <<END
ZKBOOT_VERSION=$ZKBOOT_VERSION
ZKBOOT_REVISION=$REVISION
ZOOKEEPER_VERSION=$ZOOKEEPER_VERSION
JAVA_VERSION=$JAVA_VERSION
END
