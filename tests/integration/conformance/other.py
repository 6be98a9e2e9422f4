"""A token as another PKCS#11 program sees and uses it, through PyKCS11. Prints one JSON document.

usage: other.py MODULE LABEL PIN-FILE COMMAND [ID]

  attributes ID   flags of the private key with this CKA_ID (hex); null for one that the token does not show
  destroy ID      destroys every object with this CKA_ID
  foreign         makes objects that keyward has not made: a key pair with a CKA_ID of one byte, one without, a data object
  objects ID      how many objects of each class have this CKA_ID
"""

import json
import sys

import PyKCS11
from PyKCS11 import Mechanism

FLAGS = "TOKEN PRIVATE SENSITIVE EXTRACTABLE SIGN DECRYPT DERIVE UNWRAP".split()


def flag(session, handle, name):
    try:
        value = session.getAttributeValue(handle, [getattr(PyKCS11, "CKA_" + name)])[0]
    except PyKCS11.PyKCS11Error:
        return None
    return bool(value[0] if isinstance(value, tuple) else value) if value not in (None, ()) else None


def attributes(session, key):
    wanted = [(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (PyKCS11.CKA_ID, bytes.fromhex(key))]
    [handle] = session.findObjects(wanted)
    return {name: flag(session, handle, name) for name in FLAGS}


def objects(session, key):
    counts = {}
    for handle in session.findObjects([(PyKCS11.CKA_ID, bytes.fromhex(key))]):
        kind = str(session.getAttributeValue(handle, [PyKCS11.CKA_CLASS])[0])
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def destroy(session, key):
    for handle in session.findObjects([(PyKCS11.CKA_ID, bytes.fromhex(key))]):
        session.destroyObject(handle)


def pair(session, named):
    public = [(PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_PRIVATE, False), (PyKCS11.CKA_VERIFY, True), *named]
    private = [(PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_PRIVATE, True), (PyKCS11.CKA_SIGN, True), *named]
    size = [(PyKCS11.CKA_MODULUS_BITS, 2048), (PyKCS11.CKA_PUBLIC_EXPONENT, (1, 0, 1))]
    session.generateKeyPair(public + size, private, Mechanism(PyKCS11.CKM_RSA_PKCS_KEY_PAIR_GEN, None))


def foreign(session):
    data = [(PyKCS11.CKA_CLASS, PyKCS11.CKO_DATA), (PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_LABEL, "note")]
    makers = {
        "short id": lambda: pair(session, [(PyKCS11.CKA_ID, b"\x07"), (PyKCS11.CKA_LABEL, "foreign")]),
        "no id": lambda: pair(session, [(PyKCS11.CKA_LABEL, "nameless")]),
        "data": lambda: session.createObject(data + [(PyKCS11.CKA_VALUE, b"something else")]),
    }
    made = {}
    for name, make in makers.items():
        try:
            make()
            made[name] = "made"
        except PyKCS11.PyKCS11Error as error:
            made[name] = str(error)
    return made


def main(module, label, pin_file, command, *arguments):
    library = PyKCS11.PyKCS11Lib()
    library.load(module)
    slots = library.getSlotList(True)
    [slot] = [slot for slot in slots if library.getTokenInfo(slot).label.strip(" \0") == label]
    session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    with open(pin_file, encoding="ascii") as file:
        session.login(file.read().strip())
    commands = {"attributes": attributes, "destroy": destroy, "foreign": foreign, "objects": objects}
    json.dump(commands[command](session, *arguments), sys.stdout)
    session.logout()


main(*sys.argv[1:])
