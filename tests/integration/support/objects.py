"""What lies in a token: `objects.py PIN list`, or `objects.py PIN destroy UUID [CLASS]` behind keyward's back.

`list` answers a JSON array; an attribute that the object has not, or does not show, is null.
"""

import json
import sys

from cryptoki import BOOLS, Refused, Session, id_of

SHOWN = ["CLASS", "KEY_TYPE", "ID", "LABEL", *BOOLS, "UNWRAP_TEMPLATE"]


def shown(session, handle, name):
    try:
        value = session.get(handle, name)
    except (KeyError, Refused):
        return None
    if name == "LABEL":
        return value.decode()
    return value.hex() if isinstance(value, bytes) else value


def main(pin, action, *rest):
    session = Session("keyward", pin)
    if action == "destroy":
        wanted = {"CLASS": int(rest[1])} if len(rest) > 1 else {}
        for handle in session.find(ID=id_of(rest[0]), **wanted):
            session.destroy(handle)
        return
    objects = [{name: shown(session, handle, name) for name in SHOWN} for handle in session.find()]
    json.dump(objects, sys.stdout)


main(*sys.argv[1:])
