#!/usr/bin/env bash
# The server's user and the folders. The ids are fixed, so that a data volume fits the next image too.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"
id=480

step "the user zookeeper"
groupadd --system --gid "$id" zookeeper
useradd --system --uid "$id" --gid "$id" --home-dir /var/lib/zookeeper --no-create-home --shell /usr/sbin/nologin \
    --comment "ZooKeeper" zookeeper

step "folders"
# ZooKeeper rewrites zoo.cfg in its folder at each change of membership.
install --directory --mode=0700 --owner=zookeeper --group=zookeeper /etc/zookeeper /var/lib/zookeeper
install --directory --mode=0700 --owner=root --group=root /var/lib/zkboot
install --directory --mode=0755 --owner=root --group=root /etc/zkboot
