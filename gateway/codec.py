"""A batch as bytes and back, for the outbox.

    version u8 | crc32 u32 of what follows | header length u32 | header JSON | time i64… value f64… tag i32… quality u8…

Little-endian throughout. The header holds `n`, the tag ids and the texts (sparse: rows and their texts).
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import orjson

from plant.points import PointBatch

VERSION = 1
_PREFIX = struct.Struct("<BII")
_COLUMNS = (("time_ns", "<i8"), ("value", "<f8"), ("tag", "<i4"), ("quality", "u1"))


class CodecError(ValueError):
    """These bytes are not a batch of this version, or they are damaged."""


def encode(batch: PointBatch) -> bytes:
    """The batch as bytes; every value comes back bit by bit."""
    header: dict[str, object] = {"n": len(batch), "tags": batch.tags}
    if batch.text is not None:
        rows = [i for i, text in enumerate(batch.text) if text is not None]
        header["text"] = [rows, [batch.text[i] for i in rows]]
    columns = [np.ascontiguousarray(getattr(batch, name), dtype=kind).tobytes() for name, kind in _COLUMNS]
    head = orjson.dumps(header)
    body = b"".join([head, *columns])
    return _PREFIX.pack(VERSION, zlib.crc32(body), len(head)) + body


def decode(blob: bytes) -> PointBatch:
    """The batch that `encode` was given. Raises CodecError."""
    if len(blob) < _PREFIX.size or blob[0] != VERSION:
        raise CodecError(f"not a batch of version {VERSION}")
    _, checksum, head_length = _PREFIX.unpack_from(blob)
    body = memoryview(blob)[_PREFIX.size :]
    if zlib.crc32(body) != checksum:
        raise CodecError("the checksum does not match")
    header = orjson.loads(body[:head_length])
    n, at = header["n"], head_length
    columns = {}
    for name, kind in _COLUMNS:
        columns[name] = np.frombuffer(body, dtype=kind, count=n, offset=at)
        at += columns[name].nbytes
    text: list[str | None] | None = None
    if "text" in header:
        text = [None] * n
        for row, item in zip(*header["text"], strict=True):
            text[row] = item
    return PointBatch(tags=tuple(header["tags"]), text=None if text is None else tuple(text), **columns)
