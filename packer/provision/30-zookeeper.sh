#!/usr/bin/env bash
# ZooKeeper's distribution in /opt/zookeeper, of a tarball that is what was pinned.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"
tarball=$IMAGE/ami/zookeeper.tar.gz
home=/opt/zookeeper-$ZOOKEEPER_VERSION

step "the tarball's SHA-512"
found=$(sha512sum "$tarball" | cut -d ' ' -f 1)
if [ "$found" != "$ZOOKEEPER_SHA512" ]; then
    echo "ZooKeeper's tarball is not the one that is pinned (zookeeper_sha512): pinned $ZOOKEEPER_SHA512, found $found" >&2
    false
fi

if [ -e "$tarball.asc" ]; then
    step "the tarball's signature"
    scratch=$(mktemp --directory)
    list_packages >"$scratch/before"
    install_packages gpg
    "$IMAGE/provision/verify-signature" "$tarball" "$tarball.asc" "$IMAGE/ami/KEYS" "$ZOOKEEPER_KEY"
    purge_what_came_since "$scratch/before"
    rm -rf "$scratch"
else
    echo "no signature is given: the SHA-512 alone vouches for the tarball"
fi

step "unpacking"
install --directory --mode=0755 "$home"
tar --extract --file="$tarball" --directory="$home" --strip-components=1 --no-same-owner --no-same-permissions
# What a server does not need, and what would be run by hand against an ensemble that zkboot keeps.
rm -rf "${home:?}"/docs "${home:?}"/bin "${home:?}"/conf
install -D --mode=0644 --target-directory="$home/conf" "$IMAGE/logback.xml"
chmod -R u=rwX,go=rX "$home"
ln --symbolic --no-dereference --force "$(basename "$home")" /opt/zookeeper
test -e "/opt/zookeeper/lib/zookeeper-$ZOOKEEPER_VERSION.jar"
