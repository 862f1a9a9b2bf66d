#!/usr/bin/env python3
"""Checks a ledger with nothing of Millrace: this file, Python 3.8 and docs/ledger-format.md.

check_ledger.py proof FILE --key VKEY [--key VKEY]   a proof that an event is in the ledger, or that one checkpoint continues another
check_ledger.py chain FILE                           events as lines of JSON, each stream from its version 1 on; FILE may be - for both
Exit code: 0 it is as it says, 1 it is not, 2 this is no such file."""
import argparse, base64, hashlib, json, sys

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


class Wrong(Exception):
    """What the file says is not so."""


def require(holds, reason):
    if not holds:
        raise Wrong(reason)


# Ed25519, RFC 8032, section 6: points as (X, Y, Z, T).
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = add(q, p) if n & 1 else q, add(p, p), n >> 1
    return q


def point(raw):
    y, sign = int.from_bytes(raw, "little") & 2**255 - 1, raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    require(y < P and x * x % P == square and (x or not sign), "a signature or key is no point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


def is_signed(key, signature, message):
    require(len(signature) == 64, "a signature has not 64 bytes")
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    left, right = times(s, base), add(point(signature[:32]), times(h, point(key)))
    return s < L and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def decoded(text, size=None):
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text or size not in (None, len(raw)):
        raise ValueError(f"“{text[:60]}” is not the base64 that was expected")
    return raw


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def checkpoint(note, keys):
    """(origin, size, root) of a note that a key of its origin's name has signed."""
    if not note.endswith("\n"):
        raise ValueError("a checkpoint ends in a newline")
    text, signatures = (part + "\n" for part in note[:-1].rsplit("\n\n", 1))
    lines, signers = text.split("\n"), set()
    for line in signatures.split("\n")[:-1]:
        dash, name, signature = line.split(" ")
        signature = decoded(signature)
        for key in keys:
            key_name, key_id, key = key.split("+", 2)
            key = decoded(key, 33)
            require(key[0] == 1 and sha(f"{key_name}\n".encode(), key)[:4].hex() == key_id, "a key is damaged")
            if dash == "—" and (name, signature[:4].hex()) == (key_name, key_id):
                require(is_signed(key[1:], signature[4:], text.encode()), f"the signature of {name} is wrong")
                signers.add(name)
    require(lines[0] in signers, f"no key that was given has signed the checkpoint of {lines[0]}")
    return lines[0], int(lines[1]), decoded(lines[2], 32)


def climb(node, last, hashes, left, right=None):
    """RFC 9162, 2.1.3.2 and 2.1.4.2: what the hashes of a path lead to, as the smaller tree has it and as the larger one."""
    right = right or left
    for sibling in hashes:
        require(last > 0, "the path is too long")
        if node & 1 or node == last:
            left, right = sha(b"\1", sibling, left), sha(b"\1", sibling, right)
            while not node & 1:
                node, last = node >> 1, last >> 1
        else:
            right = sha(b"\1", right, sibling)
        node, last = node >> 1, last >> 1
    require(last == 0, "the path is too short")
    return left, right


def check_proof(text, keys):
    head, rest = text.split("\n\n", 1)
    title, *lines = head.split("\n")
    if title == "c2sp.org/tlog-proof@v1":
        (extra, entry), (word, index) = (line.split(" ") for line in lines[:2])
        if (extra, word, str(int(index))) != ("extra", "index", index):
            raise ValueError("the second line has the entry, the third the index")
        entry, index, (origin, size, root) = decoded(entry), int(index), checkpoint(rest, keys)
        require(0 <= index < size, "the tree has no such leaf")
        hashes = [decoded(line, 32) for line in lines[2:]]
        require(climb(index, size - 1, hashes, sha(b"\0", entry))[1] == root, "the event is not in the tree")
        return f"event {int.from_bytes(entry[1:9], 'big')} is leaf {index} of {origin} at {size} events"
    if title != "millrace/consistency-proof@v1":
        raise ValueError("its first line names no kind of proof")
    text, signatures, later = rest.split("\n\n", 2)
    (origin, size, root), later = checkpoint(f"{text}\n\n{signatures}\n", keys), checkpoint(later, keys)
    require(later[0] == origin and size <= later[1], "the checkpoints are not of one ledger, the earlier one first")
    hashes = [decoded(line, 32) for line in lines]
    if size in (0, later[1]):
        require(not hashes, "the path is too long")
        require(root == (later[2] if size else sha()), "the trees of one size are not the same")
    else:
        require(hashes, "the path is too short")
        start, hashes = (root, hashes) if size & size - 1 == 0 else (hashes[0], hashes[1:])
        node, last = size - 1, later[1] - 1
        while node & 1:
            node, last = node >> 1, last >> 1
        require(climb(node, last, hashes, start) == (root, later[2]), "the later tree does not continue the earlier one")
    return f"{origin} at {later[1]} events continues what it was at {size}"


def canonical(event):
    def sized(value):
        return len(value).to_bytes(4, "big") + value

    def optional(value):
        return b"\0" if value is None else b"\1" + sized(value)

    def text(column):
        return None if event[column] is None else event[column].encode()

    return b"".join((
        b"\1", event["id"].to_bytes(8, "big"), bytes.fromhex(event["event_id"].replace("-", "")),
        *(sized(text(column)) for column in ("event_type", "aggregate_type", "aggregate_id")),
        event["version"].to_bytes(4, "big"), sized(text("event_data")), optional(text("metadata")),
        *(event[column].to_bytes(8, "big", signed=True) for column in ("occurred_at", "created_at")),
        optional(None if event["payload"] is None else bytes.fromhex(event["payload"])), optional(text("content_type")),
    ))


def check_chain(text):
    heads, linked, count = {}, 0, 0
    for event in map(json.loads, filter(None, text.split("\n"))):
        stream, version = (event["aggregate_type"], event["aggregate_id"]), event["version"]
        where = f"{stream[0]}/{stream[1]}, version {version}"
        before, head = heads.get(stream, (0, None))
        require(version == before + 1, f"{where}: the version before it is {before}")
        if event["current_hash"] is None and event["previous_hash"] is None:
            require(head is None, f"{where}: it has no hashes, and the version before it has")
        else:
            previous, current = (bytes.fromhex(event[c] or "") for c in ("previous_hash", "current_hash"))
            require(previous == (head or bytes(32)), f"{where}: previous_hash is not the current_hash before it")
            require(sha(previous, canonical(event)) == current, f"{where}: current_hash does not follow from the event")
            head, linked = current, linked + 1
        heads[stream], count = (version, head), count + 1
    return f"{count} events of {len(heads)} streams, {linked} of them linked"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("proof", "chain"))
    parser.add_argument("file")
    parser.add_argument("--key", action="append", default=[])
    arguments = parser.parse_args()
    try:
        with open(0 if arguments.file == "-" else arguments.file, "rb") as file:
            text = file.read().decode()
        print(check_proof(text, arguments.key) if arguments.kind == "proof" else check_chain(text))
    except Wrong as wrong:
        sys.exit(print(f"WRONG: {wrong}", file=sys.stderr) or 1)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        sys.exit(print(f"this is no such file: {error!r}", file=sys.stderr) or 2)


main()
