#!/bin/sh
# Virtual cards with a PC/SC service of their own: in namespaces of network, mounts and processes, so that tests run side by
# side and vpcd, which listens on every address, is heard by nobody else.
# Usage: unshare --net --mount --pid --fork --kill-child cards.sh PYTHON DIRECTORY CARD ...
set -eu
here=$(dirname "$0")
python=$1
directory=$2
shift 2
ip link set lo up
mkdir -p /run/pcscd
mount -t tmpfs none /run/pcscd
cat >"$directory/reader.conf" <<END
FRIENDLYNAME "Yubico YubiKey OTP+FIDO+CCID"
DEVICENAME /dev/null:0x9100
LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so
CHANNELID 0x9100
END
pcscd --foreground --config "$directory/reader.conf" >"$directory/pcscd.log" 2>&1 &
exec "$python" "$here/card.py" "$directory/control" "$directory/root.pem" "$@"
