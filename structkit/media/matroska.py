"""The chain of elements of a Matroska or WebM file (RFC 8794, RFC 9559), from one to the next."""

from structkit.media.pieces import ENDS, BrokenChain, Chain, Pieces, broken

# Elements, and those that each may hold.
VOID, CRC = 0xEC, 0xBF
EBML, SEGMENT, CLUSTER, TRACKS, ENTRY, GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xA0
SIMPLE_BLOCK, BLOCK, TRACK_NUMBER, TRACK_TYPE, PICTURES = 0xA3, 0xA1, 0xD7, 0x83, 1
TOP = {0x114D9B74, 0x1549A966, TRACKS, 0x1043A770, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1254C367, VOID, CRC}
HOLDS = {
    0: {EBML, SEGMENT, VOID, CRC},
    SEGMENT: TOP,
    CLUSTER: {0xE7, 0x5854, 0xA7, 0xAB, SIMPLE_BLOCK, GROUP, 0xAF, VOID, CRC},
    GROUP: {BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8, VOID, CRC},
    TRACKS: {ENTRY, VOID, CRC},
    ENTRY: None,  # anything
}


def walk(file: Pieces, chain: Chain) -> None:
    """Follow the elements, and count the blocks of each track of pictures."""
    at, inside = 0, [(0, file.size)]  # (an element's id, its end), from the outermost; no end: unknown
    tracks: list[list[int]] = []  # the number and the type of each
    while at < file.size:
        if inside[-1][1] is not None and at >= inside[-1][1]:
            inside.pop()
            continue
        if len(inside) == 1 and at and _is_alien(file, at):  # behind a Segment that states its length
            break
        if all(end is None for _, end in inside[1:]):
            chain.at = at
        start, (kind, length, at) = at, _element(file, at)
        while inside[-1][1] is None and kind not in HOLDS[inside[-1][0]] and kind in HOLDS[inside[-2][0]]:
            inside.pop()
        parent, end = inside[-1]
        if (HOLDS[parent] is not None and kind not in HOLDS[parent]) or (
            length is None and kind not in (SEGMENT, CLUSTER)
        ):
            raise broken(start)
        if length is not None and at + length > (file.size if end is None else end):
            raise BrokenChain(ENDS) if end is None else broken(start)
        if kind == ENTRY:
            tracks.append([0, 0])
        if kind in HOLDS:
            inside.append((kind, None if length is None else at + length))
            continue
        if parent == ENTRY and kind in (TRACK_NUMBER, TRACK_TYPE):
            tracks[-1][kind == TRACK_TYPE] = file.number(at, length, "big")
        if kind in (SIMPLE_BLOCK, BLOCK):
            track, _ = _variable(file, at)
            if track not in (number for number, _ in tracks):
                raise broken(start)
            pictures = [number for number, type_ in tracks if type_ == PICTURES]
            if track in pictures:
                chain.pictures[pictures.index(track)] += 1
        at += length


def _is_alien(file: Pieces, at: int) -> bool:
    """True if what follows is no element, as tags of other programs, nor holds a Cluster anywhere."""
    if file.bytes(at, 1)[0] >> 4 and int.from_bytes(file.bytes(at, min(4, file.size - at))) in {*TOP, EBML, SEGMENT}:
        return False
    while at < file.size:
        some = file.bytes(at, min(1 << 20, file.size - at))
        if CLUSTER.to_bytes(4) in some:
            return False
        at += max(1, len(some) - 3)
    return True


def _element(file: Pieces, at: int) -> tuple[int, int | None, int]:
    """The id of an element, its length (None where unknown), and where its contents begin."""
    first = file.bytes(at, 1)[0]
    width = 9 - first.bit_length()
    if width > 4:
        raise broken(at)
    length, behind = _variable(file, at + width)
    unknown = 2 ** (7 * (behind - at - width)) - 1
    return file.number(at, width, "big"), None if length == unknown else length, behind


def _variable(file: Pieces, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    first = file.bytes(at, 1)[0]
    width = 9 - first.bit_length()
    if width > 8:
        raise broken(at)
    return file.number(at, width, "big") & (1 << 7 * width) - 1, at + width
