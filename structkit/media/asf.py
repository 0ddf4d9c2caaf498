"""The chain of packets of a WMV or ASF file (its specification of 2004, sections 3 and 5), and of their objects."""

import struct
from collections.abc import Iterator

from structkit.media.pieces import ENDS, BrokenChain, Chain, Pieces, broken

ASF_HEADER, ASF_DATA, ASF_FILE = (
    bytes.fromhex(guid)
    for guid in (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "3626b2758e66cf11a6d900aa0062ce6c",
        "a1dcab8c47a9cf118ee400c00c205365",
    )
)

MOST_HEADER = 4 << 20  # bytes of it that are searched; pictures may make it longer
LONGEST_PACKET = 1 << 20  # bytes


def walk(file: Pieces, chain: Chain) -> None:
    """Packets of one length, which hold numbered media objects in fragments."""
    at = file.number(16, 8)
    head = file.bytes(0, min(file.size, at, MOST_HEADER))
    found = head.find(ASF_FILE)
    if found < 0 or head[:16] != ASF_HEADER:
        raise broken(0)
    packet, longest = struct.unpack_from("<II", head, found + 92)
    while file.bytes(at, 16) != ASF_DATA:
        at += max(24, file.number(at + 16, 8))
    length, count = file.number(at + 16, 8), file.number(at + 40, 8)
    at += 50
    if packet != longest or not 16 <= packet <= LONGEST_PACKET:  # which the specification forbids
        raise broken(found)
    end = at - 50 + length if length else file.size
    objects: dict[int, tuple[int, int, int]] = {}  # by stream: the last object's number, length, and bytes that came
    for _ in range(count or (end - at) // packet):
        for stream, numbered, bits, offset, size, came in _payloads(file.bytes(at, packet), at):
            last, whole, so_far = objects.get(stream, (None, 0, 0))
            begins = offset == 0 and so_far == whole and (last is None or numbered == (last + 1) % 2**bits)
            goes_on = numbered == last and offset == so_far and size == whole
            if not (begins or goes_on or last is None):
                raise broken(at)
            objects[stream] = numbered, size, offset + came
            chain.pictures[stream] += offset == 0
        at += packet
    if any(whole != so_far for _, whole, so_far in objects.values()):
        raise BrokenChain(ENDS)


def _payloads(packet: bytes, where: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The payloads of an ASF packet.

    Each is the stream, the object's number and the bits of it, the offset in it, its length, and the payload's length.
    """
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0

    def number(kind: int) -> int:
        nonlocal at
        width = (0, 1, 2, 4)[kind & 3]
        at += width
        return int.from_bytes(packet[at - width : at], "little")

    lengths, fields = packet[at : at + 2]
    at += 2
    length = number(lengths >> 5) or len(packet)
    number(lengths >> 1)
    end = length - number(lengths >> 3)
    at += 6  # the time to send, and the duration
    is_one = not lengths & 1
    kind = 1 if is_one else number(1)
    for _ in range(kind & 63):
        stream, numbered = number(1) & 127, number(fields >> 4)
        offset, beside = number(fields >> 2), number(fields)
        size = int.from_bytes(packet[at : at + 4], "little")
        at += 1 if beside == 1 else beside
        came = end - at if is_one else number(kind >> 6)
        if at + came > len(packet) or came < 0 or not stream:
            raise broken(where)
        if beside >= 8:  # others are small objects packed together, without numbers of their own
            yield stream, numbered, (0, 8, 16, 32)[fields >> 4 & 3], offset, size, came
        at += came
