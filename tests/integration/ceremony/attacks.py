"""What someone tries who has the user PIN and a backup: `attacks.py PIN ARCHIVE_DIR BACKUP_ONLY EXPORTABLE TOKEN_ONLY`.

The last three are ids of keys, P-256 all of them. Answers a JSON array of {kind, name, outcome}: an `attack` must
have been refused, a `control` must be `ok`: it shows that the same call succeeds where it may.
"""

import json
import subprocess
import sys

from cryptoki import (
    AES, AES_CBC, AES_ECB, EC, GENERIC_SECRET, KEY_WRAP, PRIVATE_KEY, SECRET_KEY, Refused, Session, id_of,
)

pin, archive, *ids = sys.argv[1:]
token = Session("keyward", pin)
guarded, free, stuck = (token.one(CLASS=PRIVATE_KEY, ID=id_of(key)) for key in ids)
guarded_blob, free_blob = (open(f"{archive}/keys/{key}.kwp", "rb").read() for key in ids[:2])
keks = {token.get(handle, "LABEL").decode().split("-kek-")[1][:-7]: handle for handle in token.find(CLASS=SECRET_KEY)}
B, E, I = (keks[purpose] for purpose in ("backup-only", "exportable", "inventory"))
own_value = bytes(range(32))
own = token.create(
    CLASS=SECRET_KEY, KEY_TYPE=AES, VALUE=own_value, TOKEN=False, PRIVATE=True,
    WRAP=True, UNWRAP=True, ENCRYPT=True, DECRYPT=True,
)
USER_NOT_LOGGED_IN = 0x101
READABLE = dict(TOKEN=False, SENSITIVE=False, EXTRACTABLE=True)
KEY = dict(CLASS=PRIVATE_KEY, KEY_TYPE=EC, TOKEN=False)
GUARDED = dict(PRIVATE=True, SENSITIVE=True, EXTRACTABLE=True, WRAP_WITH_TRUSTED=True, SIGN=True)
FREE = dict(PRIVATE=True, SENSITIVE=True, EXTRACTABLE=True, SIGN=True)
answers = []


def note(kind, name, call):
    try:
        call()
        outcome = "ok"
    except Refused as refused:
        outcome = refused.name
    answers.append(dict(kind=kind, name=name, outcome=outcome))


def attack(name, call, *arguments, **attributes):
    note("attack", name, lambda: call(*arguments, **attributes))


def control(name, call, *arguments, **attributes):
    note("control", name, lambda: call(*arguments, **attributes))


def opened(blob, value):
    """The PKCS#8 in a blob that we wrapped under our own key, read in the clear with OpenSSL."""
    command = ["openssl", "enc", "-d", "-id-aes256-wrap-pad", "-K", value.hex(), "-iv", "A65959A6"]
    plain = subprocess.run(command, input=blob, capture_output=True, check=True).stdout
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-noout"], input=plain, check=True)


def carried_out(key, under):
    """Wraps a key under our own and reads it."""
    opened(token.wrap(key, under), own_value)


def signed(handle):
    assert len(token.sign(bytes(32), handle)) == 64


def without_login(handle):
    """What is not PRIVATE is read without a PIN; SoftHSM makes a key PRIVATE of its own accord."""
    if token.get(handle, "PRIVATE"):
        raise Refused(USER_NOT_LOGGED_IN)


# Wrapping.
for name, handle in (("own", own), ("E", E), ("I", I)):
    attack(f"wrap a backup-only key under {name}", token.wrap, guarded, handle)
    attack(f"wrap a backup-only key under {name} by AES_KEY_WRAP", token.wrap, guarded, handle, KEY_WRAP)
for name, handle in (("own", own), ("B", B), ("E", E), ("I", I)):
    attack(f"wrap a token-only key under {name}", token.wrap, stuck, handle)
control("keyward's own wrap of a backup-only key under B", token.wrap, guarded, B)
control("an exportable key goes out under an own key, as SECURITY says", carried_out, free, own)

# Opening the blob of a backup-only key. A missing attribute is as good as one that is false.
for name, kek in (("B", B), ("E", E), ("I", I)):
    for what, change in (
        ("SENSITIVE=0", dict(SENSITIVE=False)), ("PRIVATE=0", dict(PRIVATE=False)),
        ("WRAP_WITH_TRUSTED=0", dict(WRAP_WITH_TRUSTED=False)),
    ):
        wanted = {**KEY, **GUARDED, **change}
        attack(f"open a backup-only blob with {name}, {what}", token.unwrap, guarded_blob, kek, **wanted)
    for missing in ("SENSITIVE", "WRAP_WITH_TRUSTED"):
        wanted = {**KEY, **{key: value for key, value in GUARDED.items() if key != missing}}
        attack(f"open a backup-only blob with {name}, without {missing}", token.unwrap, guarded_blob, kek, **wanted)
    secret = dict(CLASS=SECRET_KEY, KEY_TYPE=GENERIC_SECRET, **READABLE)
    attack(f"open a backup-only blob with {name} as a generic secret", token.unwrap, guarded_blob, kek, **secret)
    attack(f"open a backup-only blob with {name} by AES_KEY_WRAP", token.unwrap, guarded_blob, kek, KEY_WRAP, **secret)
    plain = {**KEY, **FREE}
    attack(f"open a backup-only blob with {name} by AES_KEY_WRAP as a key", token.unwrap, guarded_blob, kek, KEY_WRAP, **plain)
not_said = {**KEY, **{key: value for key, value in GUARDED.items() if key != "PRIVATE"}}
attack("open a backup-only blob with B, without PRIVATE", lambda: without_login(token.unwrap(guarded_blob, B, **not_said)))
control("a backup-only blob opens with B as it must", lambda: signed(token.unwrap(guarded_blob, B, **KEY, **GUARDED)))

# Opening the blob of an exportable key.
for what, change in (("SENSITIVE=0", dict(SENSITIVE=False)), ("PRIVATE=0", dict(PRIVATE=False))):
    attack(f"open an exportable blob with E, {what}", token.unwrap, free_blob, E, **{**KEY, **FREE, **change})
    attack(f"open an exportable blob with I, {what}", token.unwrap, free_blob, I, **{**KEY, **FREE, **change})
attack("open an exportable blob with E as a generic secret", token.unwrap, free_blob, E, **secret)
control("an exportable blob opens with E as it must", lambda: signed(token.unwrap(free_blob, E, **KEY, **FREE)))

# Changing the key.
attack("clear WRAP_WITH_TRUSTED", token.set, guarded, WRAP_WITH_TRUSTED=False)
attack("copy WRAP_WITH_TRUSTED away", token.copy, guarded, TOKEN=False, WRAP_WITH_TRUSTED=False)
attack("a copy of a backup-only key goes out under an own key", lambda: token.wrap(token.copy(guarded, TOKEN=False), own))
attack("EXTRACTABLE 0 to 1", token.set, stuck, EXTRACTABLE=True)
attack("copy a token-only key as EXTRACTABLE", token.copy, stuck, TOKEN=False, EXTRACTABLE=True)
for name, handle in (("backup-only", guarded), ("exportable", free), ("token-only", stuck)):
    attack(f"SENSITIVE 1 to 0 of a {name} key", token.set, handle, SENSITIVE=False)
    attack(f"copy a {name} key as not SENSITIVE", token.copy, handle, TOKEN=False, SENSITIVE=False)
    attack(f"read the VALUE of a {name} key", token.get, handle, "VALUE")
control("a copy that changes nothing is made", token.copy, guarded, TOKEN=False)
control("an attribute that protects nothing can be set", lambda: token.set(token.copy(guarded, TOKEN=False), LABEL=b"x"))

# A trusted key of our own would carry backup-only keys out.
attack("set TRUSTED on an own key", token.set, own, TRUSTED=True)
own_aes = dict(CLASS=SECRET_KEY, KEY_TYPE=AES, TOKEN=False, WRAP=True)
attack("make an own key TRUSTED", token.create, **own_aes, VALUE=own_value, TRUSTED=True)
attack("copy an own key as TRUSTED", token.copy, own, TOKEN=False, TRUSTED=True)
attack("generate a TRUSTED key", token.generate_aes, **own_aes, VALUE_LEN=32, TRUSTED=True)
attack("replace B: set its VALUE", token.set, B, VALUE=own_value)

# The KEKs themselves.
for name, kek in keks.items():
    for flag in ("DECRYPT", "ENCRYPT", "EXTRACTABLE", "MODIFIABLE"):
        attack(f"set {flag} on the {name} KEK", token.set, kek, **{flag: True})
    attack(f"SENSITIVE 1 to 0 of the {name} KEK", token.set, kek, SENSITIVE=False)
    attack(f"take the UNWRAP_TEMPLATE of the {name} KEK away", token.set, kek, UNWRAP_TEMPLATE=b"")
    attack(f"copy the {name} KEK with DECRYPT", token.copy, kek, TOKEN=False, DECRYPT=True)
    attack(f"copy the {name} KEK as it is", token.copy, kek, TOKEN=False)
    attack(f"copy the {name} KEK without its UNWRAP_TEMPLATE", token.copy, kek, TOKEN=False, UNWRAP_TEMPLATE=b"")
    attack(f"wrap the {name} KEK under an own key", token.wrap, kek, own)
    for other, under in keks.items():
        attack(f"wrap the {name} KEK under the {other} KEK", token.wrap, kek, under)
    attack(f"read the VALUE of the {name} KEK", token.get, kek, "VALUE")
    attack(f"decrypt a blob with the {name} KEK by AES_ECB", token.decrypt, guarded_blob[:16], kek, AES_ECB)
    attack(f"decrypt a blob with the {name} KEK by AES_CBC", token.decrypt, guarded_blob[:16], kek, AES_CBC, bytes(16))
    attack(f"encrypt with the {name} KEK", token.encrypt, bytes(16), kek, AES_ECB)
control("an own key decrypts", token.decrypt, bytes(16), own, AES_ECB)
may_leave = dict(CLASS=SECRET_KEY, KEY_TYPE=AES, VALUE=own_value, **READABLE)
control("an own key that may leave is wrapped under an own key", lambda: token.wrap(token.create(**may_leave), own))

json.dump(answers, sys.stdout)
