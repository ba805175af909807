"""Recordings changed at the level of chunks, with every checksum put right again.

What a checksum guards against (`test_chunks.py` flips bits) is not what this is for: it is for
content that a hostile writer, or a broken one, makes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import zstandard

from heaptide.recording._chunks import CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER
from heaptide.recording._columns import DESCRIPTOR, PAYLOAD_HEADER
from heaptide.recording._crc import crc32c

EXTREMES = (
    0, 1, 2, 3, 7, 8, 255, 256, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40,
    (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
_LARGEST_CHUNK = 1 << 20

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Piece:
    """One chunk: its payload decoded, and what its header claims where that is a lie."""

    kind: int
    codec: int
    flags: int
    rows: int
    payload: bytes
    stored: int | None = None
    raw: int | None = None

    def sealed(self) -> bytes:
        """The chunk's bytes, under right checksums."""
        packed = self.payload
        if self.codec == 1:
            packed = zstandard.ZstdCompressor(level=3).compress(self.payload)
        header = CHUNK_HEADER.pack(
            CHUNK_MAGIC,
            self.kind,
            self.codec,
            self.flags,
            self.rows,
            len(packed) if self.stored is None else self.stored,
            len(self.payload) if self.raw is None else self.raw,
            crc32c(packed),
            0,
            0,
            0,
        )[:-4]
        return header + struct.pack("<I", crc32c(header)) + packed + bytes(-len(packed) & 7)


def parted(data: bytes) -> list[Piece]:
    """The chunks of a recording, up to the first that is not whole."""
    pieces = []
    at = FILE_HEADER.size
    while at + CHUNK_HEADER.size <= len(data):
        magic, kind, codec, flags, rows, stored, raw, *_ = CHUNK_HEADER.unpack_from(data, at)
        at += CHUNK_HEADER.size
        if magic != CHUNK_MAGIC or stored > len(data) - at:
            break
        payload = data[at : at + stored]
        at += stored + (-stored & 7)
        if codec == 1:
            try:
                payload = zstandard.ZstdDecompressor().decompress(
                    payload, max_output_size=min(raw, _LARGEST_CHUNK)
                )
            except zstandard.ZstdError:
                continue
        pieces.append(Piece(kind, codec if codec < 2 else 0, flags, rows, payload))
    return pieces


def joined(header: bytes, pieces: list[Piece]) -> bytes:
    return header[: FILE_HEADER.size] + b"".join(piece.sealed() for piece in pieces)


def mutated(data: bytes, seed: int, change: Change) -> bytes:
    """`data` with one to four changes; `change` is what does some of them, to bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.1:
        return change(data)
    pieces = parted(data)
    for _ in range(chance.randint(1, 4)):
        if not pieces:
            break
        at = chance.randrange(len(pieces))
        ways = (_bytes, _bytes, _number, _number, _number, _table, _header, _grown, _packed)
        if chance.random() < 0.15:
            _reorder(pieces, at, chance)
        else:
            pieces[at] = chance.choice(ways)(pieces[at], chance, change)
    result = joined(data, pieces)
    if chance.random() < 0.1:
        result = result[: chance.randrange(len(result) + 1)]
    return result


def columns_of(payload: bytes) -> list[tuple[int, int, str, int]]:
    """For each whole column of a payload: its descriptor's place, its own place, its type and the
    bytes it has."""
    if len(payload) < PAYLOAD_HEADER.size:
        return []
    count = PAYLOAD_HEADER.unpack_from(payload)[0]
    at = PAYLOAD_HEADER.size + count * DESCRIPTOR.size
    found = []
    for index in range(count):
        place = PAYLOAD_HEADER.size + index * DESCRIPTOR.size
        if place + DESCRIPTOR.size > len(payload):
            break
        _, code, _, size = DESCRIPTOR.unpack_from(payload, place)
        if at + size > len(payload):
            break
        found.append((place, at, code.decode("latin-1"), size))
        at += size + (-size & 7)
    return found


def _bytes(piece: Piece, chance: random.Random, change: Change) -> Piece:
    return replace(piece, payload=change(piece.payload)[:_LARGEST_CHUNK])


def _number(piece: Piece, chance: random.Random, change: Change) -> Piece:
    """One number of one column, set to what is at the limits of types and tables."""
    columns = [c for c in columns_of(piece.payload) if c[3] and c[2] in "BHIQbhiqd"]
    if not columns:
        return piece
    _, at, code, size = chance.choice(columns)
    width = struct.calcsize("<" + code)
    at += chance.randrange(size // width or 1) * width
    value = chance.choice(EXTREMES) & ((1 << 8 * width) - 1)
    payload = bytearray(piece.payload)
    payload[at : at + width] = value.to_bytes(width, "little")
    return replace(piece, payload=bytes(payload))


def _table(piece: Piece, chance: random.Random, change: Change) -> Piece:
    """The table of columns: a name, a type, a size, or how many there are."""
    payload = bytearray(piece.payload)
    columns = columns_of(piece.payload)
    if not columns or chance.random() < 0.1:
        payload[:4] = (chance.choice(EXTREMES) & 0xFFFFFFFF).to_bytes(4, "little")
        return replace(piece, payload=bytes(payload))
    place, _, _, size = chance.choice(columns)
    way = chance.randrange(3)
    if way == 0:
        payload[place + 22] = ord(chance.choice("BHIQbhiqd?"))
    elif way == 1:
        value = chance.choice((*EXTREMES, size + 8, max(size - 8, 0)))
        payload[place + 24 : place + 32] = value.to_bytes(8, "little")
    else:
        other = chance.choice(columns)[0]
        payload[place : place + 22] = payload[other : other + 22]
    return replace(piece, payload=bytes(payload))


def _header(piece: Piece, chance: random.Random, change: Change) -> Piece:
    value = chance.choice(EXTREMES)
    return chance.choice(
        (
            replace(piece, rows=value),
            replace(piece, stored=value),
            replace(piece, raw=value),
            replace(piece, kind=chance.choice((chance.randrange(24), value & 0xFFFF))),
            replace(piece, codec=chance.randrange(4)),
            replace(piece, flags=chance.randrange(4)),
        )
    )


def _grown(piece: Piece, chance: random.Random, change: Change) -> Piece:
    """All columns made longer alike: many rows in few bytes."""
    columns = columns_of(piece.payload)
    if not columns:
        return piece
    times = chance.choice((2, 16, 256, 1 << 14))
    table = bytearray(piece.payload[: columns[-1][0] + DESCRIPTOR.size])
    data = b""
    for place, at, _, size in columns:
        column = piece.payload[at : at + size]
        grown = column * max(1, min(times, _LARGEST_CHUNK // max(len(column) * len(columns), 1)))
        table[place + 24 : place + 32] = len(grown).to_bytes(8, "little")
        data += grown + bytes(-len(grown) & 7)
    return replace(piece, payload=bytes(table) + data, codec=1)


def _packed(piece: Piece, chance: random.Random, change: Change) -> Piece:
    """The other encoding."""
    return replace(piece, codec=1 - min(piece.codec, 1))


def _reorder(pieces: list[Piece], at: int, chance: random.Random) -> None:
    way = chance.randrange(3)
    if way == 0:
        del pieces[at]
    elif way == 1:
        pieces.insert(chance.randrange(len(pieces) + 1), pieces[at])
    else:
        other = chance.randrange(len(pieces))
        pieces[at], pieces[other] = pieces[other], pieces[at]


def random_change(chance: random.Random) -> Change:
    """A change of bytes for where no fuzzer guides it."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            if not changed:
                break
            at = chance.randrange(len(changed))
            way = chance.randrange(3)
            if way == 0:
                changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            elif way == 1:
                del changed[at : at + chance.randint(1, 16)]
            else:
                changed[at:at] = chance.randbytes(chance.randint(1, 16))
        return bytes(changed)

    return change
