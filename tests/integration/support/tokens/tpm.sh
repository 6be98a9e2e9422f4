#!/usr/bin/env bash
# A TPM 2.0 with a PKCS#11 token in it: tpm.sh FOLDER LABEL SO_PIN PIN
#
# swtpm listens on fixed ports, so it and its resource manager are in a network namespace of their own (`unshare -n`);
# the module reaches the resource manager over the D-Bus socket FOLDER/bus, which is a file. Without the resource
# manager the three slots of the TPM are soon full.
# Says `ready` when the token is there, and ends everything when its standard input ends.
set -euo pipefail

folder=$1 label=$2 so_pin=$3 pin=$4
export DBUS_SESSION_BUS_ADDRESS=unix:path=$folder/bus
export TPM2TOOLS_TCTI=tabrmd:bus_type=session TPM2_PKCS11_TCTI=tabrmd:bus_type=session
export TPM2_PKCS11_STORE=$folder/store

trap 'kill $(jobs -p); wait' EXIT
mkdir "$folder/state" "$folder/store"
ip link set lo up
swtpm socket --tpm2 --tpmstate "dir=$folder/state" --flags not-need-init,startup-clear \
    --server type=tcp,port=2321,bindaddr=127.0.0.1 --ctrl type=tcp,port=2322,bindaddr=127.0.0.1 &
dbus-daemon --session --nofork --nopidfile "--address=$DBUS_SESSION_BUS_ADDRESS" &
until [[ -S $folder/bus ]] && (exec 3<>/dev/tcp/127.0.0.1/2322) 2>/dev/null; do sleep 0.02; done
tpm2-abrmd --session --allow-root --tcti=swtpm:host=127.0.0.1,port=2321 &
until tpm2_getcap properties-fixed >/dev/null 2>&1; do sleep 0.05; done
{
    tpm2_ptool init --path "$folder/store"
    tpm2_ptool addtoken --pid 1 --label "$label" --sopin "$so_pin" --userpin "$pin" --path "$folder/store"
} >&2
echo ready
cat >/dev/null
