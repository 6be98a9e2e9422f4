"""Writes slip39.json with PyPI shamir-mnemonic 0.3.0 (see README.md); every run writes the same file."""

import dataclasses
import hashlib
import itertools
import json
import pathlib

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics, rs1024, shamir, wordlist
from shamir_mnemonic.share import Share, _customization_string

STREAM = itertools.count()
VECTORS = []


def seeded(length):
    return hashlib.shake_256(b"keyward slip39 vectors %d" % next(STREAM)).digest(length)


shamir.RANDOM_BYTES = seeded


def valid(name, mnemonics, passphrase, secret):
    assert combine_mnemonics(mnemonics, passphrase) == secret, name
    VECTORS.append({"name": name, "mnemonics": mnemonics, "passphrase": passphrase.decode(), "secret": secret.hex()})


def invalid(name, mnemonics, code):
    try:
        combine_mnemonics(mnemonics, b"TREZOR")
    except (MnemonicError, ValueError):
        VECTORS.append({"name": name, "mnemonics": mnemonics, "passphrase": "TREZOR", "code": code})
        return
    raise AssertionError("the reference accepts: " + name)


def changed(mnemonic, **fields):
    """The share with other fields and a checksum that holds."""
    return dataclasses.replace(Share.from_mnemonic(mnemonic), **fields).mnemonic()


def with_words(mnemonic, change):
    """The share with its words changed before the checksum, which then holds."""
    share = Share.from_mnemonic(mnemonic)
    data = change(list(wordlist.mnemonic_to_indices(mnemonic)[:-3]))
    checksum = rs1024.create_checksum(data, _customization_string(share.extendable))
    return " ".join(wordlist.words_from_indices(data + checksum))


def flip(data, place, bits):
    data[place] ^= bits
    return data


def valid_sets(bits, extendable):
    kind = f"{bits} bits" + (", extendable" if extendable else "")

    def split(needed, groups, exponent=0, passphrase=b"TREZOR"):
        secret = seeded(bits // 8)
        return secret, generate_mnemonics(needed, groups, secret, passphrase, extendable, exponent)

    secret, [[share]] = split(1, [(1, 1)])
    valid(f"1 of 1, {kind}", [share], b"TREZOR", secret)
    secret, [[share]] = split(1, [(1, 1)], passphrase=b"")
    valid(f"1 of 1 without passphrase, {kind}", [share], b"", secret)
    secret, [group] = split(1, [(2, 3)], exponent=2)
    for first, second in itertools.permutations(range(3), 2):
        if first + second != 2 or first == 0:
            valid(f"2 of 3, shares {first + 1} and {second + 1}, exponent 2, {kind}",
                  [group[first], group[second]], b"TREZOR", secret)
    secret, groups = split(2, [(1, 1), (3, 5), (2, 2)])
    valid(f"groups 1 and 2 of 3, {kind}", groups[0] + groups[1][1:4], b"TREZOR", secret)
    valid(f"groups 3 and 2 of 3, mixed, {kind}",
          [groups[2][1], groups[1][4], groups[1][0], groups[2][0], groups[1][2]], b"TREZOR", secret)
    secret, groups = split(1, [(16, 16), (2, 16)])
    valid(f"16 of 16, {kind}", groups[0], b"TREZOR", secret)


def invalid_sets(bits):
    kind = f", {bits} bits"
    secret = seeded(bits // 8)
    [[solo]] = generate_mnemonics(1, [(1, 1)], secret, b"TREZOR", False, 0)
    [pair] = generate_mnemonics(1, [(2, 3)], secret, b"TREZOR", False, 0)
    groups = generate_mnemonics(2, [(2, 3), (2, 2)], secret, b"TREZOR", False, 0)
    share = Share.from_mnemonic(pair[1])
    head, last = solo.rsplit(" ", 1)

    invalid("another last word" + kind, [head + (" zero" if last != "zero" else " academic")], "share-checksum")
    invalid("two words swapped" + kind, [" ".join(solo.split()[:6] + solo.split()[7:8] + solo.split()[6:7]
                                                   + solo.split()[8:])], "share-checksum")
    invalid("a word that is not in the list" + kind, [head + " keyward"], "share-word-unknown")
    invalid("a word left out" + kind, [head], "share-malformed")
    invalid("padding that is not zero" + kind, [with_words(solo, lambda data: flip(data, 4, 1 << 9))],
            "share-malformed")
    invalid("one of two" + kind, pair[:1], "shares-too-few")
    invalid("other identifier" + kind, [pair[0], changed(pair[1], identifier=share.identifier ^ 1)],
            "shares-of-different-sets")
    invalid("other exponent" + kind, [pair[0], changed(pair[1], iteration_exponent=3)], "shares-of-different-sets")
    invalid("other flag" + kind, [pair[0], changed(pair[1], extendable=True)], "shares-of-different-sets")
    invalid("other group count" + kind, [pair[0], changed(pair[1], group_count=2)], "shares-of-different-sets")
    invalid("other group threshold" + kind,
            [changed(groups[0][0], group_threshold=1), groups[0][1]], "shares-of-different-sets")
    invalid("other member threshold" + kind, [pair[0], changed(pair[1], member_threshold=3)],
            "shares-of-different-sets")
    invalid("same number, other value" + kind, [pair[0], changed(pair[1], index=0)], "shares-of-different-sets")
    invalid("a forged value" + kind, [pair[0], changed(pair[1], value=bytes(bits // 8))], "shares-do-not-fit")
    invalid("more groups needed than there are" + kind, [changed(solo, group_threshold=2)], "share-malformed")
    invalid("one of two groups" + kind, groups[0][:2], "shares-too-few")
    invalid("two groups, one incomplete" + kind, groups[0][:2] + groups[1][:1], "shares-too-few")
    forged = changed(groups[1][0], value=bytes(bits // 8)), changed(groups[1][1], value=bytes(bits // 8))
    invalid("a forged group" + kind, groups[0][:2] + list(forged), "shares-do-not-fit")


for bits, extendable in itertools.product((128, 256), (False, True)):
    valid_sets(bits, extendable)
invalid_sets(128)
invalid_sets(256)
[[solo]] = generate_mnemonics(1, [(1, 1)], seeded(16), b"TREZOR", False, 0)
invalid("18 words", [with_words(solo, lambda data: data[:-2])], "share-malformed")
invalid("more padding than 8 bits", [with_words(solo, lambda data: data + [0])], "share-malformed")

path = pathlib.Path(__file__).with_name("slip39.json")
path.write_text(json.dumps(VECTORS, indent=1) + "\n")
print(len([v for v in VECTORS if "secret" in v]), "valid,", len([v for v in VECTORS if "code" in v]), "invalid")
