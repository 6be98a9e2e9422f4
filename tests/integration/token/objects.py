"""The token as another PKCS#11 program sees it, through PyKCS11. Prints one JSON document.

usage: objects.py MODULE COMMAND [ARGUMENT]...

  dump PIN-FILE                     every key and certificate object with its attributes
  find                              the same without a login
  flags                             CKF_ names of the token's PIN flags
  login PIN-FILE                    logs in and out
  set-pin PIN-FILE NEW              gives the user another PIN
  sign PIN-FILE ID MECHANISM IN OUT signs the file IN by the private key with this CKA_ID (hex)
  replace PIN-FILE ID WHAT          puts another P-256 pair in the place of the one with this CKA_ID, same id and label; WHAT is
                                    `pair`, or `private` to leave the old public key object
  stray PIN-FILE ID LABEL           makes a P-256 public key object with no private one beside it
"""

import json
import sys

import PyKCS11
from PyKCS11 import Mechanism

LABEL = "keyward"
NUMBERS = ["CLASS", "KEY_TYPE", "MODULUS_BITS"]
BYTES = ["EC_PARAMS", "ID", "VALUE", "SUBJECT", "ISSUER", "SERIAL_NUMBER"]
TEXTS = ["LABEL"]
PRIVATE = """TOKEN PRIVATE SENSITIVE EXTRACTABLE WRAP_WITH_TRUSTED ALWAYS_SENSITIVE NEVER_EXTRACTABLE LOCAL SIGN SIGN_RECOVER
DECRYPT DERIVE UNWRAP""".split()
PUBLIC = "TOKEN PRIVATE LOCAL VERIFY VERIFY_RECOVER ENCRYPT WRAP DERIVE".split()
WANTED = {
    PyKCS11.CKO_PRIVATE_KEY: (["CLASS", "KEY_TYPE"], ["ID"], PRIVATE),
    PyKCS11.CKO_PUBLIC_KEY: (["CLASS", "KEY_TYPE"], ["ID"], PUBLIC),
    PyKCS11.CKO_CERTIFICATE: (["CLASS"], ["ID", "VALUE", "SUBJECT", "ISSUER", "SERIAL_NUMBER"], ["TOKEN", "PRIVATE"]),
}
RSA, EC, EDWARDS = 0, 3, 0x40


def attribute(session, handle, name):
    return session.getAttributeValue(handle, [getattr(PyKCS11, "CKA_" + name)])[0]


def flag(value):
    """Whether an attribute is true; PyKCS11 gives bytes for those it does not know as flags."""
    return None if value is None else bool(value[0] if isinstance(value, tuple) else value)


def described(session, handle, kind):
    numbers, blobs, flags = WANTED[kind]
    found = {name: attribute(session, handle, name) for name in numbers}
    found["LABEL"] = attribute(session, handle, "LABEL")
    found.update({name: bytes(attribute(session, handle, name)).hex() for name in blobs})
    found.update({name: flag(attribute(session, handle, name)) for name in flags})
    if kind == PyKCS11.CKO_PUBLIC_KEY and found["KEY_TYPE"] == RSA:
        found["MODULUS_BITS"] = attribute(session, handle, "MODULUS_BITS")
    if found.get("KEY_TYPE") in (EC, EDWARDS):
        found["EC_PARAMS"] = bytes(attribute(session, handle, "EC_PARAMS")).hex()
    return found


def every_object(session):
    return [
        described(session, handle, kind)
        for kind in WANTED
        for handle in session.findObjects([(PyKCS11.CKA_CLASS, kind), (PyKCS11.CKA_TOKEN, True)])
    ]


def of_key(session, kind, key):
    """The object of this class and CKA_ID; there must be one."""
    [handle] = session.findObjects([(PyKCS11.CKA_CLASS, kind), (PyKCS11.CKA_ID, bytes.fromhex(key))])
    return handle


def sign(session, key, mechanism, source, target):
    with open(source, "rb") as file:
        message = file.read()
    mechanism = Mechanism(getattr(PyKCS11, "CKM_" + mechanism), None)
    with open(target, "wb") as file:
        file.write(bytes(session.sign(of_key(session, PyKCS11.CKO_PRIVATE_KEY, key), message, mechanism)))


def replace(session, key, what):
    private = of_key(session, PyKCS11.CKO_PRIVATE_KEY, key)
    label = attribute(session, private, "LABEL")
    old_public = of_key(session, PyKCS11.CKO_PUBLIC_KEY, key)
    session.destroyObject(private)
    new_public, _ = make_pair(session, key, label)
    session.destroyObject(old_public if what == "pair" else new_public)


def stray(session, key, label):
    _, private = make_pair(session, key, label)
    session.destroyObject(private)


def make_pair(session, key, label):
    named = [(PyKCS11.CKA_ID, bytes.fromhex(key)), (PyKCS11.CKA_LABEL, label), (PyKCS11.CKA_TOKEN, True)]
    p256 = bytes.fromhex("06082a8648ce3d030107")
    return session.generateKeyPair(
        [*named, (PyKCS11.CKA_EC_PARAMS, p256), (PyKCS11.CKA_VERIFY, True), (PyKCS11.CKA_PRIVATE, False)],
        [*named, (PyKCS11.CKA_SENSITIVE, True), (PyKCS11.CKA_PRIVATE, True), (PyKCS11.CKA_SIGN, True)],
        Mechanism(PyKCS11.CKM_EC_KEY_PAIR_GEN, None),
    )


def pin_of(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def main(module, command, *arguments):
    library = PyKCS11.PyKCS11Lib()
    library.load(module)
    [slot] = [slot for slot in library.getSlotList(True) if library.getTokenInfo(slot).label.strip() == LABEL]
    if command == "flags":
        return [name for name in library.getTokenInfo(slot).flags2text() if name.startswith("CKF_USER_PIN_")]
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    if command == "find":
        return every_object(session)
    session.login(pin_of(arguments[0]))
    answer = {
        "dump": lambda: every_object(session),
        "login": lambda: None,
        "replace": lambda: replace(session, *arguments[1:]),
        "set-pin": lambda: session.setPin(pin_of(arguments[0]), arguments[1]),
        "sign": lambda: sign(session, *arguments[1:]),
        "stray": lambda: stray(session, *arguments[1:]),
    }[command]()
    session.logout()
    return answer


json.dump(main(*sys.argv[1:]), sys.stdout)
