"""Another PKCS#11 program that destroys and makes keys in a token all the time, under the same ids.

usage: churn.py PIN KEYS, with the module's configuration in the environment. KEYS is a JSON file: a list of keys, each
with an `id` (hex) and two `pairs`, each of `scalar` and `point` (hex, the point as an OCTET STRING in DER). Says `ready`
when every key is there with its first pair; goes on until its input ends, and leaves the first pairs behind. Says at the
end how often it has put a pair in the place of another.
"""

import json
import sys
import threading

from cryptoki import EC, PRIVATE_KEY, PUBLIC_KEY, Refused, Session

P256 = bytes.fromhex("06082a8648ce3d030107")


def put(session, key, pair):
    name = bytes.fromhex(key["id"])
    for handle in session.find(ID=name):
        try:
            session.destroy(handle)
        except Refused:
            # keyward's own worker can be at it, too.
            pass
    half = dict(TOKEN=True, ID=name, KEY_TYPE=EC, EC_PARAMS=P256)
    public = dict(CLASS=PUBLIC_KEY, PRIVATE=False, VERIFY=True, EC_POINT=bytes.fromhex(pair["point"]))
    private = dict(CLASS=PRIVATE_KEY, PRIVATE=True, SENSITIVE=True, SIGN=True, VALUE=bytes.fromhex(pair["scalar"]))
    session.create(**half, **public)
    session.create(**half, **private)


def main(pin, path):
    session = Session("keyward", pin)
    with open(path, encoding="utf-8") as file:
        keys = json.load(file)
    for key in keys:
        put(session, key, key["pairs"][0])
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    turn = 0
    while not ended.is_set():
        turn += 1
        for key in keys:
            put(session, key, key["pairs"][turn % 2])
            # As long as a few signatures take.
            ended.wait(0.005)
    for key in keys:
        put(session, key, key["pairs"][0])
    print(turn * len(keys), flush=True)


main(*sys.argv[1:])
