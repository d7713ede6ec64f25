#!/bin/sh
# Prepare this machine: Debian packages (as root; otherwise named) and .venv. Fast when there is nothing to do.
#   packaging/workstation.sh operator   what `make demo`, `make release` and `fab` need
#   packaging/workstation.sh dev        that and the tools of `make test` and `make lint`
#   packaging/workstation.sh image      a Docker engine and what makes the base of images, and no .venv
#   packaging/workstation.sh machines   what boots machines for tests, and no .venv
#   packaging/workstation.sh peers      that and what `make bench-peers` copies with, and no .venv
#   packaging/workstation.sh proof      another clock for `make verify-reproducible`, and no .venv
#   packaging/workstation.sh rpm        rpmbuild and createrepo_c, and no .venv
#   packaging/workstation.sh rpm-tests  that, dnf and rpmlint, and no .venv
set -eu
cd "$(dirname "$0")/.."
group=${1:?usage: packaging/workstation.sh operator|dev|image|machines|peers|proof|rpm|rpm-tests}
PYTHON=${PYTHON:-/usr/bin/python3.11} # the interpreter of the servers (contract: python), not whatever PATH has first
lock=packaging/locks/$group.txt

fail() {
    printf 'slipway: %s\n' "$@" >&2
    exit 1
}

missing_packages() {
    case $group in dev | image) missing_for_images ;; esac
    case $group in dev | machines | peers) missing_for_machines ;; esac
    case $group in dev | proof) missing_for_proofs ;; esac
    case $group in dev) missing_for_databases; missing_for_browsers ;; esac
    case $group in peers) command -v rsync >/dev/null || echo rsync ;; esac
    case $group in machines | peers | proof) return 0 ;; esac
    case $group in dev | rpm*) missing_for_rpms ;; esac
    case $group in image | rpm*) return 0 ;; esac
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    command -v git >/dev/null || echo git
    [ "$group" != dev ] || command -v gpg >/dev/null || echo gnupg
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v haproxy >/dev/null || echo haproxy
    [ "$group" != dev ] || command -v curl >/dev/null || echo curl
    [ "$group" = dev ] && [ "$(id -u)" = 0 ] || return 0
    for shell in zsh fish; do command -v $shell >/dev/null || echo $shell; done # their completion is checked by them
}

# Only root can start an engine; without one the image is built all the same, and so are the tests that need none.
missing_for_images() {
    path=$PATH:/usr/sbin:/usr/local/sbin
    if [ "$(id -u)" = 0 ]; then
        [ -S /var/run/docker.sock ] || [ "${DOCKER_HOST:-}" ] || PATH=$path command -v dockerd >/dev/null || echo docker.io
    elif [ "$group" = dev ]; then
        return 0
    fi
    [ "${BASE:-}" ] || command -v mmdebstrap >/dev/null || echo mmdebstrap
    [ "$group" != dev ] || command -v docker-compose >/dev/null || echo docker-compose # compose.yaml is run by its tests
}

# Machines have mounts, network and processes of their own, which only root can give them; others skip those tests.
missing_for_machines() {
    [ "$(id -u)" = 0 ] || return 0
    command -v systemd-nspawn >/dev/null || echo systemd-container
    command -v mmdebstrap >/dev/null || echo mmdebstrap
    PATH=$PATH:/usr/sbin command -v nft >/dev/null || echo nftables
    PATH=$PATH:/usr/sbin command -v ip >/dev/null || echo iproute2
    PATH=$PATH:/usr/sbin command -v mkfs.ext4 >/dev/null || echo e2fsprogs
    command -v ssh-keygen >/dev/null || echo openssh-client
}

# The tests start a PostgreSQL, a pgbouncer, a MariaDB and a Redis of their own, of Debian's programs; only root can
# install those, others skip. Of MariaDB the programs alone: mariadb-server would bring a service.
missing_for_databases() {
    [ "$(id -u)" = 0 ] || return 0
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
    [ -x /usr/sbin/pgbouncer ] || echo pgbouncer
    [ -x /usr/sbin/mariadbd ] || echo mariadb-server-core
    command -v my_print_defaults >/dev/null || echo mariadb-client-core # mariadb-install-db asks it
    command -v redis-server >/dev/null || echo redis-server
}

# The tests use the pages in a real browser; only root can install it, others skip.
missing_for_browsers() {
    [ "$(id -u)" = 0 ] || return 0
    command -v chromium >/dev/null || echo chromium
    command -v chromedriver >/dev/null || echo chromium-driver
}

# Two builds are compared, the second with a clock that is ahead; those who can't install that do without.
missing_for_proofs() {
    [ "$(id -u)" = 0 ] || return 0
    command -v faketime >/dev/null || echo faketime
}

# The tests of rpms install them into roots of their own, which only root can; others skip them.
missing_for_rpms() {
    if [ "$group" != rpm ]; then
        [ "$(id -u)" = 0 ] || return 0
        command -v dnf >/dev/null || echo dnf
        command -v rpmlint >/dev/null || echo rpmlint
    fi
    command -v rpmbuild >/dev/null || echo rpm
    command -v createrepo_c >/dev/null || echo createrepo-c
    command -v gpg >/dev/null || echo gpg
    command -v gpg-agent >/dev/null || echo gpg-agent
}

install_packages() {
    packages=$(missing_packages | xargs)
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "slipway: installing $packages"
        # No service: the environments of this repository start their own HAProxy. policy-rc.d is Debian's switch for that.
        # Nor a database that nobody asked for: the second is the switch of Debian's PostgreSQL.
        policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/slipway.conf made=
        trap 'rm -f $made' EXIT
        if [ ! -e $policy ]; then
            made=$policy
            printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
        fi
        case " $packages " in *" postgresql "*)
            made="$made $cluster"
            mkdir -p "${cluster%/*}" && echo 'create_main_cluster = false' >$cluster ;;
        esac
        apt_get="apt-get -qq -o Dpkg::Use-Pty=0"
        # shellcheck disable=SC2086  # both are lists of words
        (export DEBIAN_FRONTEND=noninteractive
            $apt_get install --no-install-recommends --yes $packages >/dev/null 2>&1 ||
            { $apt_get update && $apt_get install --no-install-recommends --yes $packages >/dev/null; }) ||
            fail "could not install $packages; try: apt-get install $packages"
    else
        fail "missing on this machine: $packages" "as root, type: apt-get install $packages"
    fi
}

# One .venv holds the operator's set or the developers' superset of it. The stamp names the lock that is installed.
stamp() { sha256sum "packaging/locks/$1.txt" | cut -d' ' -f1; }

is_installed() {
    [ -x .venv/bin/python ] || return 1
    installed=$(cat .venv/slipway-lock 2>/dev/null) || return 1
    [ "$installed" = "$(stamp dev)" ] || { [ "$group" = operator ] && [ "$installed" = "$(stamp operator)" ]; }
}

install_venv() {
    if is_installed; then return 0; fi
    echo "slipway: installing $lock into .venv"
    rm -f .venv/slipway-lock
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear .venv || fail "could not create .venv; remove it and try again"
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r packaging/locks/uv.txt
    .venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python "$lock"
    # Where the shell forbids Python to keep bytecode, each `fab` would compile its libraries anew: 0.2 s.
    env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c 'import fabric.main, deploy.carrying_out, deploy.head_start, deploy.local, deploy.rollout, deploy.tasks.common'
    stamp "$group" >.venv/slipway-lock
}

# `fab` of this repository begins sessions while it loads Fabric; uv has put Fabric's own into its place.
install_fab() {
    here=$(cd .venv && pwd -P) # another checkout may share this one
    sed "s|@PYTHON@|$here/bin/python|" packaging/fab >.venv/fab.new
    if cmp -s .venv/fab.new .venv/bin/fab; then rm .venv/fab.new; return 0; fi
    chmod 755 .venv/fab.new && mv .venv/fab.new .venv/bin/fab
}

[ -x "$PYTHON" ] || fail "$PYTHON is missing: Slipway builds for the interpreter that the contract names" \
    "install it (Debian 12: apt-get install python3), or name another: make PYTHON=/path/to/python3.11 ..."
install_packages
case $group in image | machines | peers | proof | rpm*) ;; *) install_venv && install_fab ;; esac
