#!/usr/bin/env bash
# A software token of opencryptoki that nobody else sees: opencryptoki.sh LABEL SO_PIN PIN
#
# The package knows one token for the whole machine, in fixed folders and in System V shared memory. So this runs in a
# mount and an IPC namespace of its own (`unshare -m -i`), and whoever uses the token enters them (`nsenter`).
# Says `ready` when the token is there, and ends the daemon when its standard input ends.
set -euo pipefail

label=$1 so_pin=$2 pin=$3
module=/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0
first_so_pin=87654321

mount --make-rprivate /
for folder in /run /var/lib/opencryptoki /etc/opencryptoki; do
    mount -t tmpfs none "$folder"
done
mkdir -p /run/lock/opencryptoki/swtok /var/lib/opencryptoki/swtok/TOK_OBJ
chgrp -R pkcs11 /run/lock/opencryptoki /var/lib/opencryptoki
chmod -R 770 /run/lock/opencryptoki /var/lib/opencryptoki
printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' >/etc/opencryptoki/opencryptoki.conf

pkcsslotd
trap 'kill "$(cat /run/pkcsslotd.pid)"' EXIT
tool() { pkcs11-tool --module "$module" --slot 3 "$@"; }
{
    tool --init-token --label "$label" --so-pin "$first_so_pin"
    tool --login --login-type so --so-pin "$first_so_pin" --change-pin --new-pin "$so_pin"
    tool --login --login-type so --so-pin "$so_pin" --init-pin --new-pin "$first_so_pin"
    tool --login --pin "$first_so_pin" --change-pin --new-pin "$pin"
} >&2
echo ready
cat >/dev/null
