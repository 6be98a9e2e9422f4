"""What lies in a token: `objects.py PIN list`, and behind keyward's back `destroy UUID` or `plant UUID`.

`list` answers a JSON array; an attribute that the object has not, or does not show, is null. `plant` makes
another P-256 pair under the id of a key, `plant-readable LABEL` one whose private key can be read, `strict` one whose
private key asks for the PIN at each use.
"""

import json
import sys

from cryptoki import BOOLS, Refused, Session, id_of

P256 = bytes.fromhex("06082a8648ce3d030107")
SHOWN = ["CLASS", "KEY_TYPE", "ID", "LABEL", *BOOLS, "UNWRAP_TEMPLATE"]


def shown(session, handle, name):
    try:
        value = session.get(handle, name)
    except (KeyError, Refused):
        return None
    if name == "LABEL":
        return value.decode()
    return value.hex() if isinstance(value, bytes) else value


def main(pin, action, name=None):
    session = Session("keyward", pin)
    if action == "destroy":
        for handle in session.find(ID=id_of(name)):
            session.destroy(handle)
        return
    if action in ("plant", "strict"):
        public = dict(TOKEN=True, PRIVATE=False, ID=id_of(name), EC_PARAMS=P256)
        private = dict(TOKEN=True, PRIVATE=True, SENSITIVE=True, ID=id_of(name), SIGN=True)
        session.generate_pair(public, {**private, "ALWAYS_AUTHENTICATE": action == "strict"})
        return
    if action == "plant-readable":
        public = dict(TOKEN=True, PRIVATE=False, ID=b"\x09", LABEL=name.encode(), EC_PARAMS=P256)
        private = dict(TOKEN=True, PRIVATE=True, SENSITIVE=False, EXTRACTABLE=True, ID=b"\x09", SIGN=True)
        session.generate_pair(public, dict(private, LABEL=name.encode()))
        return
    objects = [{shows: shown(session, handle, shows) for shows in SHOWN} for handle in session.find()]
    json.dump(objects, sys.stdout)


main(*sys.argv[1:])
