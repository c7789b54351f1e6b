# What each provisioning script begins with. `step` says what comes now; where a command fails, the step and the command are named.
# shellcheck shell=bash
set -Eeuo pipefail
umask 022
trap 'echo "image: FAILED: $now (${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND)" >&2' ERR

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
now="the beginning of ${0##*/}"

step() {
    now=$1
    echo "== $now"
}

# apt-get that asks nothing, waits for another one's lock, and draws no progress bars.
apt() {
    apt-get --yes --quiet --quiet --option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0 --option Dpkg::Options::=--force-confold "$@"
}

# Install packages of Debian, and nothing that they merely recommend.
install_packages() {
    apt install --no-install-recommends "$@"
}

# A list of what is installed; for `purge_what_came_since`.
list_packages() {
    dpkg-query --show --showformat='${Package}\n' | sort
}

# purge_what_came_since FILE: remove each package that a list made by list_packages does not have.
purge_what_came_since() {
    local came
    mapfile -t came < <(list_packages | comm -13 "$1" -)
    [ ${#came[@]} = 0 ] || apt purge "${came[@]}"
}
