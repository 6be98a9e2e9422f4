"""A bare PKCS#11 client over ctypes: every call with exactly the template that a test gives, and the token's own answer.

PyKCS11 has no C_CopyObject, and python-pkcs11 fills templates in; an attack needs neither.
"""

import ctypes
import os
import re

ULONG = ctypes.c_ulong
BOOLS = dict(
    TOKEN=0x1, PRIVATE=0x2, TRUSTED=0x86, SENSITIVE=0x103, ENCRYPT=0x104, DECRYPT=0x105, WRAP=0x106, UNWRAP=0x107,
    SIGN=0x108, SIGN_RECOVER=0x109, VERIFY=0x10A, VERIFY_RECOVER=0x10B, DERIVE=0x10C, EXTRACTABLE=0x162, LOCAL=0x163,
    NEVER_EXTRACTABLE=0x164, ALWAYS_SENSITIVE=0x165, MODIFIABLE=0x170, WRAP_WITH_TRUSTED=0x210,
    ALWAYS_AUTHENTICATE=0x202,
)
NUMBERS = dict(CLASS=0x0, KEY_TYPE=0x100, VALUE_LEN=0x161)
BYTES = dict(LABEL=0x3, VALUE=0x11, ID=0x102, PRIVATE_EXPONENT=0x123, EC_PARAMS=0x180, EC_POINT=0x181, CHECK_VALUE=0x90)
TEMPLATES = dict(UNWRAP_TEMPLATE=0x40000212)
TYPES = {**BOOLS, **NUMBERS, **BYTES, **TEMPLATES}
CERTIFICATE, PUBLIC_KEY, PRIVATE_KEY, SECRET_KEY = 1, 2, 3, 4
RSA, EC, GENERIC_SECRET, AES = 0x0, 0x3, 0x10, 0x1F
ECDSA, AES_ECB, AES_CBC, KEY_WRAP, KEY_WRAP_PAD, AES_KEY_GEN = 0x1041, 0x1081, 0x1082, 0x2109, 0x210A, 0x1080
EC_KEY_PAIR_GEN = 0x1040
RVS = {
    0x05: "GENERAL_ERROR", 0x07: "ARGUMENTS_BAD", 0x10: "ATTRIBUTE_READ_ONLY", 0x11: "ATTRIBUTE_SENSITIVE",
    0x12: "ATTRIBUTE_TYPE_INVALID", 0x13: "ATTRIBUTE_VALUE_INVALID", 0x1B: "ACTION_PROHIBITED", 0x54: "FUNCTION_NOT_SUPPORTED",
    0x62: "KEY_SIZE_RANGE", 0x63: "KEY_TYPE_INCONSISTENT", 0x68: "KEY_FUNCTION_NOT_PERMITTED", 0x69: "KEY_NOT_WRAPPABLE",
    0x6A: "KEY_UNEXTRACTABLE", 0x70: "MECHANISM_INVALID", 0x82: "OBJECT_HANDLE_INVALID", 0xD0: "TEMPLATE_INCOMPLETE",
    0xD1: "TEMPLATE_INCONSISTENT", 0x101: "USER_NOT_LOGGED_IN", 0x110: "WRAPPED_KEY_INVALID", 0x112: "WRAPPED_KEY_LEN_RANGE",
}


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_void_p), ("length", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("mechanism", ULONG), ("parameter", ctypes.c_void_p), ("length", ULONG)]


class Refused(Exception):
    """The token's answer to a call that it did not perform, by name."""

    def __init__(self, rv):
        super().__init__(RVS.get(rv, hex(rv)))
        self.name = str(self)


class Session:
    """One session of one token, logged in as user."""

    def __init__(self, label, pin, module="/usr/lib/softhsm/libsofthsm2.so"):
        self.library = ctypes.CDLL(os.environ.get("KEYWARD_TEST_MODULE", module))
        self.call("C_Initialize", None)
        handle = ULONG()
        self.call("C_OpenSession", ULONG(self.slot(label)), ULONG(6), None, None, ctypes.byref(handle))
        self.handle = handle
        self.call("C_Login", handle, ULONG(1), pin.encode(), ULONG(len(pin)))

    def slot(self, label):
        count = ULONG(16)
        slots = (ULONG * 16)()
        self.call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        info = ctypes.create_string_buffer(512)
        for slot in slots[: count.value]:
            self.call("C_GetTokenInfo", ULONG(slot), info)
            if info.raw[:32].decode().strip() == label:
                return slot
        raise SystemExit(f"no token {label}")

    def call(self, name, *arguments):
        rv = getattr(self.library, name)(*arguments)
        if rv != 0:
            raise Refused(rv)

    def find(self, **wanted):
        template, count = pack(wanted)
        self.call("C_FindObjectsInit", self.handle, template, ULONG(count))
        found = []
        handles, number = (ULONG * 256)(), ULONG()
        while True:
            self.call("C_FindObjects", self.handle, handles, ULONG(256), ctypes.byref(number))
            if number.value == 0:
                break
            found.extend(handles[: number.value])
        self.call("C_FindObjectsFinal", self.handle)
        return found

    def one(self, **wanted):
        (found,) = self.find(**wanted)
        return found

    def get(self, handle, name):
        attribute = Attribute(TYPES[name], None, 0)
        self.call("C_GetAttributeValue", self.handle, ULONG(handle), ctypes.byref(attribute), ULONG(1))
        if name in TEMPLATES:
            # SoftHSM 2.6.1 answers the first attribute again for each: only their number can be told.
            return attribute.length // ctypes.sizeof(Attribute)
        buffer = ctypes.create_string_buffer(max(attribute.length, 1))
        attribute.value = ctypes.cast(buffer, ctypes.c_void_p)
        self.call("C_GetAttributeValue", self.handle, ULONG(handle), ctypes.byref(attribute), ULONG(1))
        raw = buffer.raw[: attribute.length]
        if name in BOOLS:
            return raw == b"\x01"
        return int.from_bytes(raw, "little") if name in NUMBERS else raw

    def set(self, handle, **changes):
        template, count = pack(changes)
        self.call("C_SetAttributeValue", self.handle, ULONG(handle), template, ULONG(count))

    def create(self, **attributes):
        template, count = pack(attributes)
        made = ULONG()
        self.call("C_CreateObject", self.handle, template, ULONG(count), ctypes.byref(made))
        return made.value

    def copy(self, handle, **changes):
        template, count = pack(changes)
        made = ULONG()
        self.call("C_CopyObject", self.handle, ULONG(handle), template, ULONG(count), ctypes.byref(made))
        return made.value

    def destroy(self, handle):
        self.call("C_DestroyObject", self.handle, ULONG(handle))

    def wrap(self, key, under, mechanism=KEY_WRAP_PAD):
        blob, length = ctypes.create_string_buffer(8192), ULONG(8192)
        how = ctypes.byref(Mechanism(mechanism, None, 0))
        self.call("C_WrapKey", self.handle, how, ULONG(under), ULONG(key), blob, ctypes.byref(length))
        return blob.raw[: length.value]

    def unwrap(self, blob, under, mechanism=KEY_WRAP_PAD, **attributes):
        template, count = pack(attributes)
        made, how = ULONG(), ctypes.byref(Mechanism(mechanism, None, 0))
        arguments = (blob, ULONG(len(blob)), template, ULONG(count), ctypes.byref(made))
        self.call("C_UnwrapKey", self.handle, how, ULONG(under), *arguments)
        return made.value

    def decrypt(self, data, key, mechanism=AES_ECB, parameter=None):
        return self.crypt("Decrypt", data, key, mechanism, parameter)

    def encrypt(self, data, key, mechanism=AES_ECB, parameter=None):
        return self.crypt("Encrypt", data, key, mechanism, parameter)

    def sign(self, data, key, mechanism=ECDSA):
        return self.crypt("Sign", data, key, mechanism, None)

    def crypt(self, verb, data, key, mechanism, parameter):
        held = ctypes.create_string_buffer(parameter, len(parameter)) if parameter else None
        how = Mechanism(mechanism, ctypes.cast(held, ctypes.c_void_p) if held else None, len(parameter or b""))
        self.call(f"C_{verb}Init", self.handle, ctypes.byref(how), ULONG(key))
        out, length = ctypes.create_string_buffer(8192), ULONG(8192)
        self.call(f"C_{verb}", self.handle, data, ULONG(len(data)), out, ctypes.byref(length))
        return out.raw[: length.value]

    def generate_aes(self, **attributes):
        template, count = pack(attributes)
        made, how = ULONG(), ctypes.byref(Mechanism(AES_KEY_GEN, None, 0))
        self.call("C_GenerateKey", self.handle, how, template, ULONG(count), ctypes.byref(made))
        return made.value

    def generate_pair(self, public, private):
        (publics, many), (privates, several) = pack(public), pack(private)
        first, second, how = ULONG(), ULONG(), ctypes.byref(Mechanism(EC_KEY_PAIR_GEN, None, 0))
        made = (ctypes.byref(first), ctypes.byref(second))
        self.call("C_GenerateKeyPair", self.handle, how, publics, ULONG(many), privates, ULONG(several), *made)
        return second.value


def pack(attributes):
    """A CK_ATTRIBUTE array in the order given; the buffers live as long as the array."""
    array = (Attribute * max(len(attributes), 1))()
    array.buffers = []
    for place, (name, value) in enumerate(attributes.items()):
        if name in BOOLS:
            value = b"\x01" if value else b"\x00"
        elif name in NUMBERS:
            value = value.to_bytes(8, "little")
        buffer = ctypes.create_string_buffer(value, max(len(value), 1))
        array.buffers.append(buffer)
        array[place] = Attribute(TYPES[name], ctypes.cast(buffer, ctypes.c_void_p), len(value))
    return array, len(attributes)


def id_of(uuid):
    """CKA_ID of a key or KEK."""
    return bytes.fromhex(re.sub("-", "", uuid))
