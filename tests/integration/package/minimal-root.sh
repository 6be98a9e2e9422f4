#!/bin/sh
# minimal-root.sh DIR PROGRAM… : a root directory in which these programs, and packages by `dpkg --root`, can run.
set -e

root=$1
shift
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" "$root/tmp" \
    "$root/dev" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
done
# A plain file takes what is written to it, and needs no right to make devices.
: >"$root/dev/null"
: >"$root/var/lib/dpkg/status"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nshadow: files\n' >"$root/etc/nsswitch.conf"
for program; do
    path=$(command -v "$program")
    for file in "$path" $(ldd "$path" | grep -o '/[^ )]*'); do
        [ -e "$root$file" ] && continue
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
done
