#!/bin/bash
# The floor: what is left of the job when nothing is done that this application, these hosts and this day don't need.
#   floor.sh VERSION TREE ENV      SSH (words), BALANCER (address) and HOSTS (name=address ...) come from the environment
# Files of a release all have the same time, so rsync has to compare checksums.
# One connection a host, shared by all commands; hosts side by side, but for the turn, one after another.
set -euo pipefail
version=$1 tree=$2 env=$3
release=/opt/peer/releases/$version
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
wanted="$release $(sha256sum <"$env" | cut -d' ' -f1) active 200"

look() { # NAME ADDRESS
    $SSH "$2" "echo \$(readlink /opt/peer/current) \$(sha256sum </opt/peer/env | cut -d' ' -f1) \$(systemctl is-active peer) \
        \$(curl -s -o /dev/null -w '%{http_code}' http://$2:8000/readyz)" >"$scratch/$1" 2>/dev/null || true
    [ "$(cat "$scratch/$1")" = "$wanted" ] || touch "$scratch/$1.old"
}

stage() { # NAME ADDRESS
    $SSH "$2" mkdir -p /opt/peer/releases
    rsync -a --checksum --delete --rsh "$SSH" --link-dest=/opt/peer/current/ "$tree/" "$2:$release/"
    rsync -a --chmod=600 --rsh "$SSH" "$env" "$2:/opt/peer/env"
}

turn() { # NAME ADDRESS
    $SSH "$BALANCER" lb-drain "$1" >/dev/null
    $SSH "$2" "set -e; ln -sfn $release /opt/peer/current; systemctl restart peer
        for _ in \$(seq 300); do
            [ \"\$(curl -s -o /dev/null -w '%{http_code}' http://$2:8000/readyz)\" != 200 ] || exit 0
            sleep 0.05
        done
        exit 1"
    $SSH "$BALANCER" lb-restore "$1" >/dev/null
}

$SSH "$BALANCER" "echo 'show stat -1 4 -1' | socat - /run/haproxy/admin.sock" >"$scratch/stat" &
for host in $HOSTS; do look "${host%%=*}" "${host#*=}" & done
wait
for host in $HOSTS; do
    [ ! -e "$scratch/${host%%=*}.old" ] || stage "${host%%=*}" "${host#*=}" &
done
wait
changed=
for host in $HOSTS; do
    [ -e "$scratch/${host%%=*}.old" ] || continue
    turn "${host%%=*}" "${host#*=}"
    changed=yes
done
[ "$changed" ] || [ "$(awk -F, '$1 == "tiny" && $18 == "UP"' "$scratch/stat" | wc -l)" -ge "$(wc -w <<<"$HOSTS")" ]
echo "${changed:-nothing to do}"
