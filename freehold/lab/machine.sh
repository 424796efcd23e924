#!/bin/bash
# Runs one machine until it is switched off. Started by machines.py in a session of its own, so it outlives its starter.
# usage: machine.sh PROCS_FILES LOWER FOLDER MACHINE PANEL HOSTNAME [--bind=...]
set -eu
for file in $1; do echo $$ >"$file"; done
shift
exec 9<"$2"   # held as long as the machine runs: never two on the same disks
flock --nonblock 9
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network   # sysctls of its own network can be set inside
export SYSTEMD_NSPAWN_LOCK=0                     # the lab looks itself whether a machine runs; a lock file would stay
exec nsenter --net="/run/netns/$3" unshare --mount --propagation private bash -eu -c '
lower=$1 folder=$2 machine=$3 panel=$4 hostname=$5; shift 5
# In a mount namespace of its own: it vanishes with the last process, however that one dies.
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
code=133
while [ $code = 133 ]; do   # 133: the machine rebooted itself
    ip link | sed -n "s/^[0-9]*: \([^:@]*\)[@:].*/\1/p" | while read -r card; do ip addr flush dev "$card"; done
    nft flush ruleset
    code=0
    systemd-nspawn --quiet --directory="$folder/root" --machine="$machine" --hostname="$hostname" \
        --network-namespace-path="/run/netns/$machine" --register=no --keep-unit --resolv-conf=off --timezone=off \
        --capability=CAP_NET_ADMIN,CAP_SYS_NICE,CAP_IPC_LOCK --bind=/dev/net/tun "$@" --boot 9<&- || code=$?
done
# It switched itself off: whoever is cabled to it loses the carrier.
for end in $(ip link | sed -n "s/^[0-9]*: [^@]*@if\([0-9]*\):.*/\1/p"); do
    own=$(ip -n "$panel" -o link | sed -n "s/^$end: \([^@]*\)@.*/\1/p")
    [ -n "$own" ] || continue
    far=$(ip -n "$panel" -o link | sed -n "s/^[0-9]*: \([^@]*\)@.*alias $own\$/\1/p")
    [ -z "$far" ] || ip -n "$panel" link set "$far" down
done
' machine.sh "$@"
