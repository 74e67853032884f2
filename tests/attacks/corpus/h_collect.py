"""H: hostile downloads of an LMS, through `shardwork collect`.

Canvas names a member `name[_LATE]_student_file_what the student called it`; the student chooses the
last part, and on some sites the first. Each attack is one download with an honest student (101) in
it, whose notebook must be there afterwards, byte by byte; the attacker is 102.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import re
import secrets
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from shardwork.course import Course
from tests.attacks.course import RIGHT, copy_course, handed_in
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, environment
from tests.attacks.usage import watch

LIMIT_S = 60.0
MEMORY_BYTES = 512 << 20
DISK_BYTES = 64 << 20
ROSTER = "id,student\n101,honest\n102,attacker\n103,third\n"
Download = Mapping[str, bytes]
_STUDENT = "(?:honest|attacker|third)"
_ALLOWED = re.compile(
    rf"course/submitted/{_STUDENT}/plain/plain\.ipynb|course/submitted/\.receipts/plain/{_STUDENT}\.json"
)
"""What collecting may write; no time is known here, so no timestamp.txt."""


def collected(
    make: Callable[[], bytes], check: Callable[[Course], list[tuple[Win, str]]] | None = None
) -> Callable[[Seen], list[tuple[Win, str]]]:
    """Return a detector that collects a download into a course of its own, and looks at it."""

    def detect(seen: Seen) -> list[tuple[Win, str]]:
        root = seen.scene.folder / f"k{secrets.token_hex(3)}"
        course = copy_course(seen.scene.base, root / "course")
        try:
            return _collect(seen, course, make(), check)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    return detect


def _collect(
    seen: Seen, course: Course, data: bytes,
    check: Callable[[Course], list[tuple[Win, str]]] | None,
) -> list[tuple[Win, str]]:  # fmt: skip
    folder = course.root.parent
    download, roster, temporary = folder / "download.zip", folder / "roster.csv", folder / "tmp"
    download.write_bytes(data)
    roster.write_text(ROSTER, encoding="utf-8")
    temporary.mkdir()
    before = _files(folder)
    weak = seen.batch.weak
    started = ["-m", "shardwork"] if weak is None else ["-m", "tests.attacks.product", weak]
    command = [sys.executable, *started, "--course", str(course.root), "collect", "plain",
               str(download), "--roster", str(roster)]  # fmt: skip
    found: list[tuple[Win, str]] = []
    began = time.monotonic()
    with (folder / "console").open("w+b") as console:
        process = subprocess.Popen(
            command, env=environment(seen.scene, temporary), cwd=course.root,
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with watch(process.pid, temporary) as usage:
            status, peak_bytes = _end_of(process)
        usage.memory_bytes = max(usage.memory_bytes, peak_bytes)
        console.seek(0)
        said = console.read()
    if time.monotonic() - began > LIMIT_S:
        found.append((Win.STALL, f"collecting took {time.monotonic() - began:.0f} s"))
    if usage.memory_bytes > MEMORY_BYTES or usage.disk_bytes > DISK_BYTES:
        found.append((Win.RES, f"collecting took {usage}"))
    if status not in (0, 1):
        found.append((Win.BATCH, f"exit status {status}: {said[-400:]!r}"))
    if b"\x1b" in said:
        found.append((Win.ESC, "an escape sequence on the terminal"))
    honest = course.submitted / "honest" / "plain" / "plain.ipynb"
    if not honest.is_file() or honest.read_bytes() != honest_notebook():
        found.append((Win.BATCH, f"the honest student's notebook is not there: {said[-400:]!r}"))
    for path in _files(folder) - before - {folder / "console"}:
        name = path.relative_to(folder).as_posix()
        if not _ALLOWED.fullmatch(name):
            found.append((Win.ESC, f"it wrote {name}"))
    return [*found, *(check(course) if check is not None else [])]


def _end_of(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return a process's exit status, and the most memory it had: a sample may miss a peak."""
    alarm = threading.Timer(2 * LIMIT_S, os.kill, (process.pid, signal.SIGKILL))
    alarm.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_maxrss << 10


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@functools.cache
def honest_notebook() -> bytes:
    """Return what the honest student handed in."""
    return json.dumps(handed_in("plain", Submission(RIGHT), "honest")).encode()


def canvas(members: Download, *, first: bool = False) -> bytes:
    """Return a download with these members, and the honest student's behind or before them."""
    honest = {"honest_101_9001_plain.ipynb": honest_notebook()}
    everything = honest | dict(members) if first else dict(members) | honest
    return zipped(everything)


def zipped(members: Download) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # ZipInfo would mend it
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return file.getvalue()


def upload(name: str, data: bytes) -> bytes:
    """Return a download in which the attacker has handed in one file."""
    return canvas({f"attacker_102_9002_{name}": data})


def nothing_taken(course: Course) -> list[tuple[Win, str]]:
    """Find that anything at all was taken from the attacker."""
    path = course.submitted / "attacker"
    return [(Win.ESC, "the attacker's file was taken")] if path.exists() else []


def third_unharmed(course: Course) -> list[tuple[Win, str]]:
    """Find that a file of the attacker's counts as the third student's."""
    path = course.submitted / "third" / "plain" / "plain.ipynb"
    if path.is_file() and path.read_bytes() != honest_notebook():
        return [(Win.BATCH, "another student's notebook was replaced by the attacker's")]
    return []


def _linked(name: str, target: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return file.getvalue()


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _devices() -> bytes:
    kinds = (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE)
    return _tar(*((_member("plain.ipynb", kind), b"") for kind in kinds))


def _linked_tar() -> bytes:
    return _tar(
        (_member("plain", tarfile.SYMTYPE, "../../honest"), b""),
        (_member("plain/plain.ipynb"), b"{}"),
        (_member("hard.ipynb", tarfile.LNKTYPE, "../honest/plain/plain.ipynb"), b""),
    )


def flat_bomb(entries: int = 2_000, size: int = 4 << 20) -> bytes:
    """Return a zip whose directory has many names for the same bytes (D. Fifield, 2019)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(size)) + packer.flush()
    crc = zlib.crc32(bytes(size))
    name = b"plain.ipynb"
    local = _local(name, crc, len(packed), size) + packed
    central = b"".join(_central(name, crc, len(packed), size) for _ in range(entries))
    return local + central + _end(entries, len(central), len(local))


def _local(name: bytes, crc: int, packed: int, size: int) -> bytes:
    return struct.pack("<4s5HIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, crc, packed, size,
                       len(name), 0) + name  # fmt: skip


def _central(name: bytes, crc: int, packed: int, size: int) -> bytes:
    return struct.pack("<4s6HIII5HII", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, packed, size,
                       len(name), 0, 0, 0, 0, 0, 0) + name  # fmt: skip


def _end(entries: int, length: int, begin: int) -> bytes:
    return struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, entries, entries, length, begin, 0)


def nested_bomb(depth: int = 5, width: int = 16) -> bytes:
    """Return zips in zips: `width` in each, and 16 MB of zeros in each of the innermost."""
    data, name = zipped({"plain.ipynb": bytes(16 << 20)}), "0.zip"
    for level in range(depth):
        data = zipped({f"{number}-{name}": data for number in range(width)})
        name = f"{level}.zip"
    return data


def quine(name: bytes = b"self.zip") -> bytes:
    """Return a zip that holds itself, by R. Cox's scheme (Zip Files All The Way Down, 2010).

    `literal(n)` copies the next n bytes, `repeat(n)` the last n of the output. Both take ten bytes.
    """
    unit = 10

    def literal(count: int) -> bytes:
        return b"\0\0\0\xff\xff" + struct.pack("<BHH", 0, count, count ^ 0xFFFF)

    def repeat(count: int, *, last: bool = False) -> bytes:
        lengths = ((19, 34, 269, 2), (35, 66, 273, 3), (67, 114, 277, 4))
        distances = ((17, 32, 8, 3), (33, 64, 10, 4), (65, 128, 12, 5))
        bits = "010"  # a block of fixed codes, which is not the last
        low, _, code, extra = next(row for row in lengths if row[0] <= count <= row[1])
        step, within = divmod(count - low, 1 << extra)
        bits += f"{code + step - 256:07b}" + f"{within:0{extra}b}"[::-1]
        low, _, code, extra = next(row for row in distances if row[0] <= count <= row[1])
        step, within = divmod(count - low, 1 << extra)
        bits += f"{code + step:05b}" + f"{within:0{extra}b}"[::-1] + "0" * 7
        bits += "010" + "0" * 7  # an empty one, for the size
        bits += "100" if last else "000"  # and an empty one without codes, which ends on a byte
        bits = bits.ljust(48, "0")
        packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, 48, 8))
        return packed + b"\0\0\xff\xff"

    def whole(crc: int) -> bytes:
        head = 30 + len(name)
        tail = 46 + len(name) + 22
        body_bytes = 30 * unit + head + tail
        size = head + body_bytes + tail
        prefix = _local(name, crc, body_bytes, size)
        suffix = _central(name, crc, body_bytes, size) + _end(1, tail - 22, head + body_bytes)
        first, four, final = head + unit, 4 * unit, tail + unit
        one = literal(unit)
        body = b"".join((
            literal(first), prefix, literal(first),
            repeat(first),
            one, repeat(first),
            one, one,
            literal(four), repeat(first), one, one, literal(four),
            repeat(four),
            literal(four), repeat(four), literal(four), repeat(four), literal(four),
            repeat(four),
            literal(four), repeat(four), literal(0), literal(0), literal(final),
            repeat(four),
            literal(0), literal(0),
            literal(final), repeat(final, last=True), suffix,
            repeat(final, last=True),
        ))  # fmt: skip
        assert len(body) == body_bytes, (len(body), body_bytes)
        return prefix + body + suffix

    # The checksum is part of what it is the checksum of: 32 equations over one bit each.
    base = zlib.crc32(whole(0))
    pivots: list[tuple[int, int]] = []
    for bit in range(32):
        bits = 1 << bit
        column = _reduced((zlib.crc32(whole(bits)) ^ base ^ bits, bits), pivots)
        if column[0]:
            pivots = sorted([*pivots, column], reverse=True)
    return whole(_reduced((base, 0), pivots)[1])


def _reduced(column: tuple[int, int], pivots: list[tuple[int, int]]) -> tuple[int, int]:
    """Take every pivot from a column whose leading bit it has, and note which."""
    value, bits = column
    for other, theirs in pivots:
        if value ^ other < value:
            value, bits = value ^ other, bits ^ theirs
    return value, bits


def _broken(change: Callable[[bytearray], object]) -> Callable[[], bytes]:
    """Return an upload of a zip with some of its bytes changed."""

    def make() -> bytes:
        data = bytearray(zipped({"plain.ipynb": honest_notebook()}))
        change(data)
        return upload("work.zip", bytes(data))

    return make


def _later_name(name: str) -> Callable[[], bytes]:
    """Return a download with a third student's work, and the attacker's file of a crafted name."""
    third = {"third_103_9003_plain.ipynb": honest_notebook()}
    crafted = {f"attacker_102_9002_{name}": b"{}"}
    return lambda: canvas(third | crafted)


def _collect_attack(
    id_: str, title: str, make: Callable[[], bytes],
    check: Callable[[Course], list[tuple[Win, str]]] | None = None, **more: object,
) -> Attack:  # fmt: skip
    fields: dict[str, object] = {"wins": {Win.BATCH, Win.ESC, Win.RES, Win.STALL}}
    return Attack(
        id=id_, title=title, submission=Submission(raw=b""), detect=collected(make, check),
        **fields | more,  # type: ignore[arg-type]
    )  # fmt: skip


_EVIL = b'{"cells": [], "nbformat": 4, "metadata": {}}'
_NAMES = {
    "H17": ("names that lead out of their folder", "../../../honest/plain/plain.ipynb"),
    "H17b": ("absolute names", "/tmp/plain.ipynb"),
    "H17c": ("names with a drive", "C:\\plain.ipynb"),
    "H17d": ("names with backslashes", "..\\..\\honest\\plain\\plain.ipynb"),
    "H17e": ("names with a NUL and an escape sequence", "plain.ipynb\0\x1b[2J.txt"),
    "H17f": ("a name of 60,000 characters", "a/" * 30_000 + "plain.ipynb"),
}  # fmt: skip

ATTACKS = [
    *(
        _collect_attack(id_, f"{title}, in an archive", functools.partial(
            lambda name: upload("work.zip", zipped({name: _EVIL, "plain.ipynb": _EVIL})), name),
            nothing_taken)
        for id_, (title, name) in _NAMES.items()
    ),
    *(
        _collect_attack(f"{id_}z", f"{title}, in the download", functools.partial(
            lambda name: canvas({f"attacker_102_9002_{name}": _EVIL}, first=True), name))
        for id_, (title, name) in _NAMES.items() if id_ != "H17f"
    ),
    _collect_attack("H17g", "links in a zip", lambda: upload(
        "work.zip", _linked("plain.ipynb", "../../honest/plain/plain.ipynb")), nothing_taken),
    _collect_attack("H17h", "links in a tar", lambda: upload("work.tar.gz", gzip.compress(
        _linked_tar())), nothing_taken),
    _collect_attack("H17i", "devices and pipes in a tar", lambda: upload("work.tar", _devices()),
                    nothing_taken),
    _collect_attack("H18", "names that differ in case and normalisation only", lambda: upload(
        "work.zip", zipped({"plain.ipynb": _EVIL, "PLAIN.ipynb": honest_notebook(),
                            "e\u0301.ipynb": _EVIL, "\xe9.ipynb": _EVIL})), nothing_taken),
    _collect_attack("H18b", "a timestamp of its own", lambda: upload("work.zip", zipped(
        {"plain.ipynb": honest_notebook(), "timestamp.txt": b"2020-01-01 00:00:00 UTC"}))),
    _collect_attack("H19", "a flat bomb: one piece of 4 MB under 2,000 names", lambda: upload(
        "work.zip", flat_bomb()), nothing_taken),
    _collect_attack("H19b", "16^5 archives in archives", lambda: upload("work.zip", nested_bomb()),
                    nothing_taken),
    _collect_attack("H19c", "400 MB of zeros in a zip", lambda: upload(
        "work.zip", zipped({"plain.ipynb": bytes(400 << 20)})), nothing_taken),
    _collect_attack("H19d", "400 MB of zeros by gzip, in gzip", lambda: upload(
        "plain.ipynb.gz", gzip.compress(gzip.compress(bytes(400 << 20), 6)))),
    _collect_attack("H19e", "400 MB of zeros by bzip2", lambda: upload(
        "plain.ipynb.bz2", bz2.compress(bytes(400 << 20))), nothing_taken),
    _collect_attack("H19f", "400 MB of zeros by xz", lambda: upload(
        "plain.ipynb.xz", lzma.compress(bytes(400 << 20), preset=1)), nothing_taken),
    _collect_attack("H19g", "xz that asks for a dictionary of 1.5 GB", lambda: upload(
        "plain.ipynb.xz", lzma.compress(_EVIL, filters=[
            {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 3 << 29}]))),
    _collect_attack("H19h", "60,000 entries", lambda: upload("work.zip", zipped(
        {f"{n}.ipynb": b"" for n in range(60_000)})), nothing_taken),
    _collect_attack("H19i", "a bomb in place of the download's own member", lambda: canvas(
        {"attacker_102_9002_plain.ipynb": bytes(400 << 20)}), nothing_taken),
    _collect_attack("H20", "an archive that holds itself", lambda: upload("work.zip", quine()),
                    nothing_taken, sample=True),
    _collect_attack("H20b", "an archive that holds itself, handed in as a download's folder",
                    lambda: canvas({"attacker_102_9002_self.zip": quine(),
                                    "attacker_102_9003_self-1.zip": quine()}), nothing_taken),
    _collect_attack("H21", "an encrypted entry", _broken(lambda d: d.__setitem__(6, d[6] | 1)),
                    nothing_taken),
    _collect_attack("H21b", "a wrong checksum", _broken(lambda d: d.__setitem__(14, d[14] ^ 1)),
                    nothing_taken),
    _collect_attack("H21c", "a cut archive", _broken(lambda d: d.__delitem__(slice(-60, None))),
                    nothing_taken),
    _collect_attack("H21d", "two headers that disagree", _broken(
        lambda d: d.__setitem__(slice(30, 35), b"other")), nothing_taken),
    _collect_attack("H21e", "an unknown kind of packing", _broken(
        lambda d: d.__setitem__(8, 99)), nothing_taken),
    _collect_attack("H21f", "bytes of chance called an archive", lambda: upload(
        "work.zip", b"PK\3\4" + bytes(range(256)) * 100), nothing_taken),
    _collect_attack("H23", "a name that holds another student's numbers", _later_name(
        "x_103_9999_plain.ipynb"), third_unharmed, sample=True),
    _collect_attack("H23b", "a name that says that it is not late, and another's", _later_name(
        "LATE_103_99999_plain.ipynb"), third_unharmed),
    _collect_attack("H23c", "a name with a line end and numbers", _later_name(
        "\n_103_9999_plain.ipynb"), third_unharmed),
    _collect_attack("H23d", "a display name that holds another's numbers", lambda: canvas({
        "third_103_9003_plain.ipynb": honest_notebook(),
        "x_103_9999_102_9002_plain.ipynb": b"{}"}), third_unharmed),
    _collect_attack("H23e", "numbers with digits of other scripts", _later_name(
        "\uff11\uff10\uff13_\uff19\uff19\uff19\uff19_plain.ipynb"), third_unharmed),
    _collect_attack("H23f", "two different files of one number", lambda: canvas({
        "third_103_9003_plain.ipynb": honest_notebook(),
        "attacker_102_9002_plain.ipynb": b"{}", "attacker_102_9002_PLAIN.ipynb": _EVIL}),
        third_unharmed),
    _collect_attack("H23g", "a thousand files of one student", lambda: canvas(
        {f"attacker_102_{n}_plain-{n}.ipynb": _EVIL for n in range(9100, 10_100)}), third_unharmed),
    _collect_attack("H23h", "Moodle's folder with another's numbers in it", lambda: canvas({
        "third_103_9003_plain.ipynb": honest_notebook(),
        "attacker_102_9002_x_103_assignsubmission_file_plain.ipynb": b"{}"}), third_unharmed),
]  # fmt: skip
