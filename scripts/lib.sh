# shellcheck shell=bash
# What the scripts here share: sourced, never run. A script names itself in $script before it calls fail.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${CARGO_TARGET_DIR:-$root/target}"
# shellcheck disable=SC2034 # for the scripts that source this
target=$(cd "${CARGO_TARGET_DIR:-$root/target}" && pwd)

# Oldest Rust that builds keyward; `rust-version` in Cargo.toml says the same.
rust_needed=1.95

# fail CODE TEXT
fail() {
    printf '%s: %s\n' "${script:-scripts}" "$2" >&2
    exit "$1"
}

need_rust() {
    local have
    [[ ! -x $HOME/.cargo/bin/cargo ]] || PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null || fail 1 "there is no cargo here; install Rust $rust_needed or newer"
    have=$(rustc --version | cut -d ' ' -f 2)
    if [[ $(printf '%s\n' "$rust_needed" "${have%%-*}" | sort -V | head -n 1) != "$rust_needed" ]]; then
        fail 1 "Rust $have is too old; keyward needs $rust_needed or newer (with rustup: rustup update stable)"
    fi
}

# need_packages WHAT=PACKAGE… : installs the Debian package wherever the command WHAT, or the file /WHAT, is missing.
need_packages() {
    local pair what missing=()
    for pair in "$@"; do
        what=${pair%%=*}
        if [[ $what == /* ]]; then
            [[ -e $what ]] || missing+=("${pair#*=}")
        else
            command -v "$what" >/dev/null || missing+=("${pair#*=}")
        fi
    done
    if ((${#missing[@]})); then
        apt_install "${missing[@]}"
    fi
}

apt_install() {
    local as_root=(env DEBIAN_FRONTEND=noninteractive)
    command -v apt-get >/dev/null || fail 1 "missing: $*. There is no apt-get here; install what your system calls these"
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail 1 "missing: $*. Installing needs root, and there is no sudo: as root, run apt-get install $*"
        as_root=(sudo "${as_root[@]}")
    fi
    printf '== install %s\n' "$*"
    "${as_root[@]}" apt-get update -qq || fail 1 'apt-get update failed; see above'
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail 1 "apt-get could not install $*; see above"
}
