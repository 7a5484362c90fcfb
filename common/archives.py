"""Looking into ZIP containers that strangers send (office files are such), without unpacking them anywhere."""

import zipfile
from dataclasses import dataclass
from typing import IO

CHUNK = 64 * 1024
DIRECTORY_ENTRY = b"PK\x01\x02"  # APPNOTE.TXT 4.3.12: central file header signature


class UnsafeArchive(Exception):
    """It is broken, or would grow past what is allowed. `reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


REASONS = ("broken", "encrypted", "too_many", "too_large", "too_dense")


@dataclass(frozen=True)
class Bounds:
    """What an archive may be: entries, bytes when unpacked, and bytes when unpacked for each byte that it has.

    The ratio is asked only of archives that unpack to more than `dense_from` bytes: small ones of empty tables are
    denser than any bomb needs to be.
    """

    entries: int = 5_000
    total: int = 150 * 1024 * 1024
    ratio: int = 120
    dense_from: int = 10 * 1024 * 1024


def check_archive(file: IO[bytes], bounds: Bounds) -> list[str]:
    """Names of the entries. UnsafeArchive where it declares, or really has, more than the bounds.

    How many entries it can have is counted before its directory is read into memory; what they declare is asked next,
    which costs nothing; then every entry is read in small pieces and forgotten, and
    the reading stops as soon as the bound is passed, whatever was declared.
    """
    try:
        if _most_entries(file) > bounds.entries:
            raise UnsafeArchive("too_many")
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_declared(entries, bounds)
            _check_real(archive, entries, bounds)
            return [entry.filename for entry in entries]
    except UnsafeArchive:
        raise
    # zlib.error, struct.error, NotImplementedError, RuntimeError, …: a stranger's bytes can fail in any of them
    except Exception as error:
        raise UnsafeArchive("broken") from error
    finally:
        file.seek(0)


def _most_entries(file: IO[bytes]) -> int:
    """How many entries of a directory the bytes have room for: each begins with its mark. Chance adds none to speak of.

    The number that an archive states is its own word, and zipfile makes an object of every entry that it finds.
    """
    found, kept = 0, b""
    file.seek(0)
    while piece := file.read(CHUNK):
        found += (kept + piece).count(DIRECTORY_ENTRY)
        kept = piece[-len(DIRECTORY_ENTRY) + 1 :]
    file.seek(0)
    return found


def _check_declared(entries: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    if len(entries) > bounds.entries:
        raise UnsafeArchive("too_many")
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise UnsafeArchive("encrypted")
    total = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    _check_size(total, packed, bounds)


def _check_real(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    total, packed = 0, sum(entry.compress_size for entry in entries)
    for entry in entries:
        with archive.open(entry) as stream:
            while piece := stream.read(CHUNK):
                total += len(piece)
                _check_size(total, packed, bounds)


def _check_size(total: int, packed: int, bounds: Bounds) -> None:
    if total > bounds.total:
        raise UnsafeArchive("too_large")
    if total > bounds.dense_from and total > bounds.ratio * max(packed, 1):
        raise UnsafeArchive("too_dense")
