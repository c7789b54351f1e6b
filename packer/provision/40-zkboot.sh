#!/usr/bin/env bash
# zkboot in a virtual environment of its own, /opt/zkboot, from wheels that came with the build: nothing is fetched.
# shellcheck source=common.sh
. "$IMAGE/provision/common.sh"
home=/opt/zkboot
pip=("$home/bin/python" -m pip --quiet --disable-pip-version-check --no-input install --no-cache-dir --no-compile --no-index)

step "a virtual environment"
before=$(mktemp)
list_packages >"$before"
install_packages python3-venv
python3 -m venv "$home"

step "zkboot's dependencies, each held to its hash"
"${pip[@]}" --require-hashes --find-links "$IMAGE/ami/wheels" --requirement "$IMAGE/ami/node.txt"

step "zkboot $ZKBOOT_VERSION"
"${pip[@]}" --no-deps --find-links "$IMAGE/ami" "zkboot==$ZKBOOT_VERSION"

step "without what only the installation needed"
"$home/bin/python" -m pip --quiet uninstall --yes pip
purge_what_came_since "$before"
rm -f "$before" "$home"/bin/[Aa]ctivate*

step "byte code"
# Root cannot write it later (the units mount /opt read-only). By content, not by time: the same sources, the same bytes.
find "$home" -name __pycache__ -prune -exec rm -rf {} +
"$home/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$home/lib"

step "commands"
for command in zkboot zk-bootstrap zk-recovery; do
    ln --symbolic --force "$home/bin/$command" "/usr/local/bin/$command"
done
zkboot version
