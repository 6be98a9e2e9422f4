"""Virtual YubiKeys: the PIV application (NIST SP 800-73-4, with Yubico's extensions) behind vsmartcard's reader driver.

Usage: card.py CONTROL ROOT SERIAL=VERSION@PORT ...

CONTROL is the path of a Unix socket on which a test gives orders, one JSON object a line, and gets one back:
`pull`, `insert`, `touch`, `log`. ROOT is where the certificate of the root that vouches for the cards is written.
The PIN is 123456, the management key Yubico's default one (3DES before firmware 5.7, AES-192 from then on).
Not emulated: what other applications of a YubiKey do, and how long anything takes.
"""

import datetime
import json
import os
import socket
import struct
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.x509.oid import NameOID, ObjectIdentifier

ATR = bytes.fromhex("3bfd1300008131fe158073c021c057597562694b657940")
PIV = bytes.fromhex("a000000308")
MANAGEMENT_KEY = bytes.fromhex("0102030405060708" * 3)
RSA_BITS = {0x07: 2048, 0x05: 3072, 0x16: 4096}
CURVES = {0x11: ec.SECP256R1(), 0x14: ec.SECP384R1()}
ED25519 = 0xE0
NEVER, ALWAYS = 1, 3
TOUCH_SECONDS = 15


def tlv(tag, value):
    head = bytes.fromhex(f"{tag:02x}" if tag < 0x100 else f"{tag:04x}")
    size = len(value)
    if size < 0x80:
        return head + bytes([size]) + value
    return head + (bytes([0x81, size]) if size < 0x100 else b"\x82" + struct.pack(">H", size)) + value


def elements(data):
    found = {}
    while data:
        tag, size, at = data[0], data[1], 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        found[tag] = data[at : at + size]
        data = data[at + size :]
    return found


def certify(subject, public, issuer, signer, extensions=(), ca=False):
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=20000))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for oid, value in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(oid), value), critical=False)
    return builder.sign(signer, hashes.SHA256())


class Card:
    """One card: what it holds, and what it answers to a command."""

    def __init__(self, serial, version, root):
        self.serial, self.version = serial, tuple(int(part) for part in version.split("."))
        self.pin, self.tries, self.slots, self.objects, self.log = b"123456\xff\xff", 3, {}, {}, []
        self.device = ec.generate_private_key(ec.SECP256R1())
        self.name = f"Virtual PIV Attestation {serial}"
        certificate = certify(self.name, self.device.public_key(), "Virtual PIV Root CA", root, ca=True)
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.objects[bytes.fromhex("5fff01")] = tlv(0x70, der) + b"\x71\x01\x00\xfe\x00"
        self.chain, self.rest = b"", b""
        self.waiting, self.touched, self.missed = threading.Event(), threading.Event(), False
        self.reset()

    def reset(self):
        self.verified = self.fresh = self.managed = False
        self.witness = None

    def modern(self):
        return self.version >= (5, 7, 0)

    def answer(self, command):
        cla, ins, p1, p2 = command[:4]
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if ins == 0xC0:
            return self.pieces(self.rest)
        self.chain += data
        if cla & 0x10:
            return b"\x90\x00"
        data, self.chain = self.chain, b""
        self.log.append(f"{ins:02x}{p1:02x}{p2:02x}{'+' if data else ''}")
        try:
            result = self.perform(ins, p1, p2, data)
        except (KeyError, IndexError, ValueError):
            return b"\x6a\x80"
        if isinstance(result, int):
            return struct.pack(">H", result)
        return self.pieces(result)

    def pieces(self, data):
        head, self.rest = data[:256], data[256:]
        return head + (bytes([0x61, min(len(self.rest), 255)]) if self.rest else b"\x90\x00")

    def perform(self, ins, p1, p2, data):
        if ins == 0xA4:
            self.reset()
            return tlv(0x61, tlv(0x4F, PIV)) if data[:5] == PIV else 0x6A82
        if ins == 0xFD:
            return bytes(self.version)
        if ins == 0xF8:
            return struct.pack(">I", self.serial)
        if ins == 0x20:
            return self.verify(data)
        if ins == 0x24:
            return self.change(data)
        if ins == 0xF7:
            return self.metadata(p2)
        if ins == 0x87:
            return self.authenticate(elements(elements(data)[0x7C])) if p2 == 0x9B else self.use(p1, p2, data)
        if ins == 0x47:
            return self.generate(p2, elements(elements(data)[0xAC]))
        if ins == 0xCB:
            value = self.objects.get(elements(data)[0x5C])
            return 0x6A82 if value is None else tlv(0x53, value)
        if ins == 0xDB:
            return self.put(data)
        if ins == 0xF9:
            return self.attest(p1)
        if ins == 0xF6 and self.modern():
            return self.delete(p1, p2)
        return 0x6D00

    def verify(self, data):
        if not data:
            return 0x9000 if self.verified else self.left()
        if self.tries == 0:
            return 0x6983
        self.verified = self.fresh = data == self.pin
        self.tries = 3 if self.verified else self.tries - 1
        return 0x9000 if self.verified else self.left()

    def change(self, data):
        changed = self.verify(data[:8])
        if changed == 0x9000:
            self.pin = data[8:]
        return changed

    def left(self):
        return 0x63C0 | self.tries if self.tries else 0x6983

    def metadata(self, slot):
        if self.version < (5, 3, 0):
            return 0x6D00
        if slot == 0x80:
            return tlv(1, b"\xff") + tlv(5, b"\x01") + tlv(6, bytes([3, self.tries]))
        if slot == 0x9B:
            return tlv(1, b"\x0a" if self.modern() else b"\x03") + tlv(2, b"\x00\x01") + tlv(5, b"\x01")
        if slot not in self.slots:
            return 0x6A88
        held = self.slots[slot]
        policies = bytes([held["pin"], held["touch"]])
        return tlv(1, bytes([held["algorithm"]])) + tlv(2, policies) + tlv(3, b"\x01") + tlv(4, held["public"])

    def authenticate(self, given):
        kind = AES(MANAGEMENT_KEY) if self.modern() else TripleDES(MANAGEMENT_KEY)
        cipher, size = Cipher(kind, modes.ECB()), 16 if self.modern() else 8
        if given.get(0x80) == b"":
            self.witness = os.urandom(size)
            return tlv(0x7C, tlv(0x80, cipher.encryptor().update(self.witness)))
        if self.witness is None or given.get(0x80) != self.witness:
            return 0x6982
        self.witness, self.managed = None, True
        return tlv(0x7C, tlv(0x82, cipher.encryptor().update(given[0x81])))

    def generate(self, slot, asked):
        algorithm = asked[0x80][0]
        if not self.managed:
            return 0x6982
        if not self.modern() and algorithm not in (0x07, 0x11, 0x14):
            return 0x6A80
        pin = asked.get(0xAA, bytes([{0x9C: ALWAYS, 0x9E: NEVER}.get(slot, 2)]))[0]
        touch = asked.get(0xAB, bytes([NEVER]))[0]
        if algorithm in RSA_BITS:
            key = rsa.generate_private_key(65537, RSA_BITS[algorithm])
            modulus = key.public_key().public_numbers().n.to_bytes(RSA_BITS[algorithm] // 8, "big")
            public = tlv(0x81, modulus) + tlv(0x82, b"\x01\x00\x01")
        elif algorithm == ED25519:
            key = ed25519.Ed25519PrivateKey.generate()
            public = tlv(0x86, key.public_key().public_bytes_raw())
        else:
            key = ec.generate_private_key(CURVES[algorithm])
            encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            public = tlv(0x86, key.public_key().public_bytes(encoding, form))
        self.slots[slot] = {"key": key, "algorithm": algorithm, "pin": pin, "touch": touch, "public": public}
        return tlv(0x7F49, public)

    def use(self, algorithm, slot, data):
        held = self.slots[slot]
        if held["algorithm"] != algorithm:
            return 0x6A80
        allowed = held["pin"] == NEVER or (self.fresh if held["pin"] == ALWAYS else self.verified)
        if not allowed:
            return 0x6982
        if held["touch"] != NEVER:
            self.touched.clear()
            self.waiting.set()
            touched = self.touched.wait(TOUCH_SECONDS)
            self.waiting.clear()
            if not touched or self.missed:
                return 0x6982
        self.fresh = False
        given = elements(elements(data)[0x7C])
        return tlv(0x7C, tlv(0x82, self.result(held, given)))

    @staticmethod
    def result(held, given):
        key, block = held["key"], given.get(0x81)
        if 0x85 in given:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, given[0x85])
            return key.exchange(ec.ECDH(), peer)
        if held["algorithm"] in RSA_BITS:
            private = key.private_numbers()
            modulus = private.public_numbers.n
            return pow(int.from_bytes(block, "big"), private.d, modulus).to_bytes(len(block), "big")
        if held["algorithm"] == ED25519:
            return key.sign(block)
        digest = hashes.SHA256() if len(block) == 32 else hashes.SHA384()
        return key.sign(block, ec.ECDSA(Prehashed(digest)))

    def put(self, data):
        if not self.managed:
            return 0x6982
        given = elements(data)
        if given[0x53]:
            self.objects[given[0x5C]] = given[0x53]
        else:
            self.objects.pop(given[0x5C], None)
        return 0x9000

    def attest(self, slot):
        held = self.slots.get(slot)
        if held is None:
            return 0x6A80
        serial = tlv(0x02, b"\x00" + struct.pack(">I", self.serial))
        extensions = [
            ("1.3.6.1.4.1.41482.3.3", bytes(self.version)),
            ("1.3.6.1.4.1.41482.3.7", serial),
            ("1.3.6.1.4.1.41482.3.8", bytes([held["pin"], held["touch"]])),
        ]
        subject = f"YubiKey PIV Attestation {slot:02x}"
        certificate = certify(subject, held["key"].public_key(), self.name, self.device, extensions)
        return certificate.public_bytes(serialization.Encoding.DER)

    def delete(self, destination, slot):
        if not self.managed:
            return 0x6982
        if destination != 0xFF or self.slots.pop(slot, None) is None:
            return 0x6A80
        return 0x9000


class Reader:
    """The card's side of vpcd: a card is in the reader as long as the connection is there."""

    def __init__(self, card, port):
        self.card, self.port, self.connection, self.wanted = card, port, None, threading.Event()
        self.powered = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def insert(self):
        self.powered.clear()
        self.wanted.set()
        return self.powered.wait(20)

    def pull(self):
        self.wanted.clear()
        connection = self.connection
        if connection:
            connection.shutdown(socket.SHUT_RDWR)
        return True

    def run(self):
        while True:
            self.wanted.wait()
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as self.connection:
                    self.serve(self.connection)
            except OSError:
                # pcscd is not up yet, or the card was pulled.
                time.sleep(0.02)
            self.card.reset()

    def serve(self, connection):
        while True:
            message = self.exactly(connection, struct.unpack(">H", self.exactly(connection, 2))[0])
            if len(message) > 1:
                answer = self.card.answer(message)
            elif message[0] == 4:
                answer = ATR
                self.powered.set()
            else:
                self.card.reset()
                continue
            connection.sendall(struct.pack(">H", len(answer)) + answer)

    @staticmethod
    def exactly(connection, size):
        data = b""
        while len(data) < size:
            # The driver sends length and message apart, the second when the first is acknowledged: now, not in 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            more = connection.recv(size - len(data))
            if not more:
                raise OSError("the reader is gone")
            data += more
        return data


def obey(readers, order):
    reader = readers[order["card"]]
    if order["do"] == "insert":
        return reader.insert()
    if order["do"] == "pull":
        return reader.pull()
    if order["do"] == "touch":
        if not reader.card.waiting.wait(20):
            return False
        reader.card.missed = order.get("missed", False)
        reader.card.touched.set()
        return True
    return reader.card.log


def main():
    control, root_file, *cards = sys.argv[1:]
    root = ec.generate_private_key(ec.SECP256R1())
    certificate = certify("Virtual PIV Root CA", root.public_key(), "Virtual PIV Root CA", root, ca=True)
    with open(root_file, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    readers = {}
    for text in cards:
        serial, rest = text.split("=")
        version, port = rest.split("@")
        readers[int(serial)] = Reader(Card(int(serial), version, root), int(port))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(control)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                for line in stream:
                    stream.write(json.dumps(obey(readers, json.loads(line))) + "\n")
                    stream.flush()


main()
