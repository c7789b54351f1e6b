#!/usr/bin/env bash
# The archive of the classes that a server loads: with it a server starts in about two thirds of the time.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"

step "one run of a server, by zkboot's own arguments"
PYTHONPATH=$IMAGE PYTHONDONTWRITEBYTECODE=1 /opt/zkboot/bin/python "$IMAGE/provision/class-archive.py" /opt/zookeeper/zookeeper.jsa
chmod 0644 /opt/zookeeper/zookeeper.jsa
