"""Recombines one share with the reference implementation of SLIP-39: `recombine.py WORDS`."""

import json
import sys

from shamir_mnemonic import combine_mnemonics
from shamir_mnemonic.share import Share

(words,) = sys.argv[1:]
share = Share.from_mnemonic(words)
assert (share.extendable, share.iteration_exponent, share.group_threshold, share.member_threshold) == (False, 0, 1, 1)
secret = combine_mnemonics([words], b"")
json.dump({"secret": secret.hex(), "words": len(words.split()), "of": share.group_count}, sys.stdout)
