"""Archives: honest ones are read as Python wrote them, and others refused with a reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwork.archive import (
    ArchiveRefused,
    Budget,
    Limits,
    ZipArchive,
    find_files,
    name_problem,
    open_archive,
)

pytestmark = pytest.mark.unit

NOTEBOOK = b'{"cells": []}'
FILES = {"ch0.ipynb": NOTEBOOK, "notes/lies mich.txt": "größer".encode(), "データ/表.csv": b"1,2\n"}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def contents(data: bytes, name: str = "a.zip") -> dict[str, bytes]:
    """Return what our reader finds, all of it."""
    archive = open_archive(data, name, Budget(Limits()))
    return {
        entry.name: archive.read(entry, 1 << 20) for entry in archive.entries if not entry.is_folder
    }


def found(data: bytes, name: str = "work.zip", limits: Limits | None = None) -> list[bytes]:
    return [f.data for f in find_files(data, name, ".ipynb", Budget(limits or Limits()))]


def reason(data: bytes, name: str = "work.zip", limits: Limits | None = None) -> str:
    with pytest.raises(ArchiveRefused) as refused:
        found(data, name, limits)
    return str(refused.value)


@pytest.mark.parametrize(
    "make",
    [
        zipped,
        lambda files: zipped(files, zipfile.ZIP_STORED),
        tarred,
        lambda files: tarred(files, form=tarfile.GNU_FORMAT),
        lambda files: tarred(files, form=tarfile.USTAR_FORMAT),
        lambda files: tarred(files, "w:gz"),
        lambda files: tarred(files, "w:bz2"),
        lambda files: tarred(files, "w:xz"),
    ],
    ids=["zip", "stored", "pax", "gnu", "ustar", "gz", "bz2", "xz"],
)
def test_an_honest_archive_is_read_as_python_wrote_it(
    make: Callable[[dict[str, bytes]], bytes],
) -> None:
    big = random.Random(5).randbytes(200_000) + b"x" * 300_000
    long_name = "/".join(["folder" * 10] * 3) + "/file.txt"
    files = {**FILES, "big.bin": big, "empty": b"", long_name: b"deep"}
    assert contents(make(files)) == files


def test_a_zip_of_a_stream_has_its_sizes_behind_the_bytes_and_is_read() -> None:
    class Pipe(io.RawIOBase):
        """What cannot be sought in, as when an LMS writes an archive while it sends it."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=name.startswith("notes")) as entry:
                entry.write(data)
    assert contents(bytes(pipe.data)) == FILES


def test_a_zip_with_many_entries_has_a_directory_of_the_large_kind_and_is_read() -> None:
    data = zipped({f"f{n}": b"" for n in range(66_000)})
    archive = ZipArchive(io.BytesIO(data), Budget(Limits(entries=70_000)))
    assert len(archive.entries) == 66_000
    assert not any(entry.problem for entry in archive.entries)


def test_names_in_the_code_page_of_a_japanese_windows_are_read() -> None:
    # The second byte of 表 in that code page is a backslash.
    data = zipped({"XX.ipynb": NOTEBOOK}).replace(b"XX", "表".encode("cp932"))
    assert contents(data) == {"表.ipynb": NOTEBOOK}


def test_one_compressed_file_is_an_archive_with_one_entry() -> None:
    assert contents(gzip.compress(NOTEBOOK), "ch0.ipynb.gz") == {"ch0.ipynb": NOTEBOOK}
    assert found(bz2.compress(NOTEBOOK), "ch0.ipynb.bz2") == [NOTEBOOK]
    assert found(lzma.compress(NOTEBOOK), "ch0.ipynb.xz") == [NOTEBOOK]
    assert found(gzip.compress(NOTEBOOK[:5]) + gzip.compress(NOTEBOOK[5:]), "a.ipynb.gz") == [
        NOTEBOOK
    ]


def test_files_are_found_and_what_programs_leave_behind_is_not() -> None:
    files = {
        "work/ch0.ipynb": NOTEBOOK,
        "work/CH1.IPYNB": b"1",
        "work/.ipynb_checkpoints/ch0-checkpoint.ipynb": b"old",
        "__MACOSX/work/._ch0.ipynb": b"mac",
        "work/data.csv": b"",
    }
    assert found(zipped(files)) == [NOTEBOOK, b"1"]


def test_an_archive_in_the_archive_is_opened_only_if_there_is_nothing_beside_it() -> None:
    inner = tarred({"ch0.ipynb": NOTEBOOK}, "w:gz")
    assert found(zipped({"work.tar.gz": inner})) == [NOTEBOOK]
    assert found(zipped({"work.tar.gz": b"junk", "a.ipynb": b"a"})) == [b"a"]


# bombs ------------------------------------------------------------------------------------------


def test_archives_in_archives_end_at_the_depth() -> None:
    data = zipped({"a.ipynb": NOTEBOOK})
    for _ in range(2):
        data = zipped({"a.zip": data})
    assert "more than 2 deep" in reason(data)


def test_many_archives_in_one_are_not_all_opened() -> None:
    inner = zipped({"a.txt": b""})
    assert "more than 10 archives" in reason(zipped({f"{n}.zip": inner for n in range(16)}))


def test_a_bomb_is_not_unpacked() -> None:
    data = zipped({"a.ipynb": bytes(40 << 20)})
    tracemalloc.start()
    try:
        assert "packed more than 500 times smaller" in reason(data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_bomb_ends_at_the_bound(compress: Callable[[bytes], bytes]) -> None:
    limits = Limits(entry_bytes=1 << 20)
    tracemalloc.start()
    try:
        data = compress(bytes(30 << 20))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert "unpacks to more than 1 MB" in reason(data, "a.gz", limits)
        # a bzip2 block is up to 900 kB of output, and several times that inside
        assert tracemalloc.get_traced_memory()[1] - before < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_all_files_unpack_to_is_counted() -> None:
    noise = random.Random(1)
    files = {f"{n}.ipynb": noise.randbytes(600_000) for n in range(4)}
    assert "unpacks to more than 2 MB" in reason(zipped(files), limits=Limits(total_bytes=2 << 20))
    assert "larger than 0.5 MB" in reason(zipped(files), limits=Limits(entry_bytes=1 << 19))
    assert "holds 4 files *.ipynb; at most 3" in reason(zipped(files), limits=Limits(files=3))


def test_too_many_entries_are_not_looked_at() -> None:
    files = {f"{n}.ipynb": b"" for n in range(12)}
    limits = Limits(entries=10)
    assert "12 entries; at most 10" in reason(zipped(files), limits=limits)
    assert "more than 10 entries" in reason(tarred(files), "a.tar", limits)


def test_a_size_that_is_a_lie_is_found_while_unpacking() -> None:
    data = bytearray(zipped({"a.ipynb": bytes(40 << 20)}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.find(signature) + at, 100)
    tracemalloc.start()
    try:
        assert "unpacks to more than it says" in reason(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def overlapping() -> bytes:
    """Two directory entries that point at the same bytes: the simplest flat bomb."""
    once = zipped({"a.ipynb": NOTEBOOK})
    begin = once.index(b"PK\x01\x02")
    end = once.index(b"PK\x05\x06")
    record = once[begin:end]
    tail = bytearray(once[end:])
    struct.pack_into("<HHI", tail, 8, 2, 2, 2 * len(record))
    return once[:begin] + record + record + bytes(tail)


def test_entries_that_share_their_bytes_are_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(overlapping())) as archive:
        assert len(archive.namelist()) == 2  # it is an archive to others
    assert "also those of another entry" in reason(overlapping())


def quoted() -> bytes:
    """A flat bomb in the form of Fifield: each header stands inside the entry before it."""
    header = struct.Struct("<4sHHHHHIIIHH")
    payload = zlib.compress(b"x" * 1000, wbits=-15)
    parts = b""
    places = []
    for index in reversed(range(3)):
        name = b"%d.ipynb" % index
        if parts:  # a stored block, not the last one, that quotes all headers behind
            packed = struct.pack("<BHH", 0, 30 + 7, 0xFFFF ^ (30 + 7)) + parts
            size = 1000 + (30 + 7) * (len(places))
        else:
            packed, size = payload, 1000
        whole = _inflated(packed)
        head = header.pack(
            b"PK\x03\x04", 20, 0, 8, 0, 0, zlib.crc32(whole), len(packed), len(whole), len(name), 0
        )
        assert size == len(whole)
        parts = head + name + packed
        places.append((name, len(parts), zlib.crc32(whole), len(packed), len(whole)))
    directory = b""
    for name, back, crc, packed_size, size in places:
        directory += struct.pack(
            "<4sBBHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 3, 20, 0, 8, 0, 0, crc, packed_size, size,
            len(name), 0, 0, 0, 0, 0, len(parts) - back,
        ) + name  # fmt: skip
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 3, 3, len(directory), len(parts), 0)
    return parts + directory + end


def _inflated(packed: bytes) -> bytes:
    inflate = zlib.decompressobj(-15)
    return inflate.decompress(packed) + inflate.flush()


def test_entries_that_quote_each_others_headers_are_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(quoted())) as archive:
        assert archive.namelist() == ["2.ipynb", "1.ipynb", "0.ipynb"]
    assert "also those of another entry" in reason(quoted())


# names, links, and what is damaged --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../evil.ipynb", "leads out"),
        ("a/../../evil.ipynb", "leads out"),
        ("..", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:evil.ipynb", "absolute"),
        ("c:/evil.ipynb", "absolute"),
        ("..\\evil.ipynb", "backslash"),
        ("\\\\server\\share", "backslash"),
        ("a\0b.ipynb", "control"),
        ("a\nb.ipynb", "control"),
        ("\x1b[31m.ipynb", "control"),
        ("\udcff.ipynb", "control"),
        ("", "empty or too long"),
        ("a" * 256, "empty or too long"),
        ("あ" * 86, "empty or too long"),
        ("a/" * 600, "empty or too long"),
    ],
)
def test_a_name_that_no_honest_archive_has_is_told(name: str, problem: str) -> None:
    assert problem in name_problem(name)


@pytest.mark.parametrize("name", ["a.ipynb", "第1回/課題 (2).ipynb", "..a/b..", "10:30", "🙂‍↔️.txt"])
def test_an_honest_name_has_no_problem(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    ("one", "other"), [("a.ipynb", "A.IPYNB"), ("é.ipynb", "e\u0301.ipynb"), ("ß", "SS")]
)
def test_names_that_some_file_system_takes_for_the_same_are_refused(one: str, other: str) -> None:
    files = {one: b"1", other: b"2"}
    for data in (zipped(files), tarred(files)):
        assert "another entry has the same name" in reason(data)


def test_the_same_name_twice_is_refused() -> None:
    data = zipped({"a.ipynb": b"1", "b.ipynb": b"2"}).replace(b"b.ipynb", b"a.ipynb")
    assert "another entry has the same name" in reason(data)


def special(kind: bytes, linkname: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("ch0.ipynb")
        info.type, info.linkname = kind, linkname
        archive.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"V", "unknown kind"),
    ],
)
def test_a_tar_entry_that_is_no_file_is_refused(kind: bytes, said: str) -> None:
    assert said in reason(special(kind, "../../source/ch0.ipynb"), "a.tar")


def test_a_sparse_file_in_the_form_of_posix_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("ch0.ipynb")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "99999999999"}
        archive.addfile(info)
    assert "sparse" in reason(stream.getvalue(), "a.tar")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_zip_entry_that_is_no_file_is_refused(mode: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("ch0.ipynb")
        info.create_system, info.external_attr = 3, (mode | 0o777) << 16
        archive.writestr(info, b"../../source/ch0.ipynb")
    assert "link or a special file" in reason(stream.getvalue())


def patched(at: int, form: str, value: int, *signatures: bytes) -> bytes:
    data = bytearray(zipped({"ch0.ipynb": NOTEBOOK}))
    for signature in signatures:
        place = data.find(signature)
        offset = at if signature == b"PK\x03\x04" else at + 2
        struct.pack_into(form, data, place + offset, value)
    return bytes(data)


BOTH = (b"PK\x03\x04", b"PK\x01\x02")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (patched(6, "<H", 1, *BOTH), "encrypted"),
        (patched(6, "<H", 1, b"PK\x03\x04"), "two headers disagree"),
        (patched(8, "<H", 9, *BOTH), "method that is not read (number 9)"),
        (patched(8, "<H", 0, b"PK\x03\x04"), "two headers disagree"),
        (patched(14, "<I", 1, *BOTH), "damaged: its bytes are not"),
        (patched(14, "<I", 1, b"PK\x03\x04"), "two headers disagree"),
        (patched(18, "<I", 10_000, *BOTH), "not where the directory says"),
        (patched(18, "<I", 3, *BOTH), "end early or late"),
        (patched(22, "<I", 10, *BOTH), "unpacks to more than it says"),
        (patched(22, "<I", 0xFFFFFFFF, *BOTH), "directory is damaged"),
        (zipped({"a.ipynb": NOTEBOOK})[:-30], "truncated"),
        (zipped({"a.ipynb": NOTEBOOK}) + b"more", "behind its end"),
        (b"PK\x03\x04" + b"\0" * 100, "truncated"),
        (tarred({"a.ipynb": b"x" * 2000})[:1500], "longer than what is there"),
        (tarred({"a.ipynb": b"x" * 2000})[:2560], "its end is missing"),
        (gzip.compress(tarred({"a.ipynb": b"x" * 99}))[:-12], "truncated"),
        (gzip.compress(b"") * 1001, "more than 1000 compressed streams"),
        (b"\x1f\x8b\x08" + b"\xff" * 50, "damaged"),
        (b"Rar!\x1a\x07\x00", "RAR archive; only zip and tar"),
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"", "no archive"),
        (NOTEBOOK, "no archive"),
    ],
)
def test_what_is_damaged_or_contradicts_itself_is_refused(data: bytes, said: str) -> None:
    assert said in reason(data)


def test_another_name_in_the_header_before_the_bytes_is_refused() -> None:
    data = zipped({"ch0.ipynb": NOTEBOOK}).replace(b"ch0.ipynb", b"ch9.ipynb", 1)
    assert "two headers disagree" in reason(data)


def test_a_long_name_that_never_ends_is_refused() -> None:
    def note(kind: bytes, size: int) -> bytes:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = kind, size
        return info.tobuf(tarfile.GNU_FORMAT) + bytes(-(-size // 512) * 512)

    assert "name is too long" in reason(note(b"L", 1 << 20) + tarred({"a": b""}), "a.tar")
    assert "name is too long" in reason(note(b"x", 1 << 20) + tarred({"a": b""}), "a.tar")


def test_many_notes_before_one_entry_are_read_up_to_a_bound() -> None:
    """A reader that calls itself for each would not survive them."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = b"L", 10
    chain = (info.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 5_000 + tarred({"a.ipynb": NOTEBOOK})
    assert found(chain, "a.tar") == [NOTEBOOK]
    assert "more than 4000 headers" in reason(chain, "a.tar", Limits(entries=1_000))


def test_a_number_in_a_header_may_not_be_long() -> None:
    info = tarfile.TarInfo("a")
    line = b"size=" + b"9" * 5000 + b"\n"
    record = b"%d " % (len(line) + 5) + line
    info.type, info.size = b"x", len(record)
    note = info.tobuf() + record + bytes(-len(record) % 512)
    assert "a header is not one" in reason(note + tarred({"a.ipynb": b""}), "a.tar")


# anything at all --------------------------------------------------------------------------------

SEEDS = (
    zipped(FILES),
    zipped(FILES, zipfile.ZIP_STORED),
    tarred(FILES),
    tarred(FILES, form=tarfile.GNU_FORMAT),
    tarred(FILES, "w:gz"),
    tarred(FILES, "w:xz"),
    tarred(FILES, "w:bz2"),
    zipped({"inner.zip": zipped(FILES)}),
    overlapping(),
    quoted(),
)
edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "copy", "number"]), st.integers(0, 4000),
        st.integers(0, 300), st.integers(0, 2**32 - 1),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def mutated(data: bytes, changes: list[tuple[str, int, int, int]]) -> bytes:
    out = bytearray(data)
    for kind, place, length, value in changes:
        at = place % max(1, len(out))
        if kind == "set" and out:
            out[at] = value & 0xFF
        elif kind == "cut":
            del out[at : at + length]
        elif kind == "copy":
            out[at:at] = out[at : at + length]
        elif len(out) >= at + 4:
            struct.pack_into("<I", out, at, value)
    return bytes(out)


def outcome(data: bytes) -> Iterator[bytes]:
    """Yield what is found; an archive that is refused yields nothing, and anything else raises."""
    limits = Limits(entry_bytes=1 << 20, total_bytes=4 << 20)
    try:
        yield from found(data, "a.zip", limits)
    except ArchiveRefused as refused:
        assert str(refused)


@settings(max_examples=400)
@given(st.sampled_from(SEEDS), edits)
def test_a_mutated_archive_is_read_or_refused(
    data: bytes, changes: list[tuple[str, int, int, int]]
) -> None:
    for taken in outcome(mutated(data, changes)):
        assert len(taken) <= 1 << 20


@settings(max_examples=200)
@given(
    st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]),
    st.binary(max_size=600),
)
def test_arbitrary_bytes_are_read_or_refused(begin: bytes, data: bytes) -> None:
    list(outcome(begin + data))


@settings(max_examples=100)
@given(
    st.dictionaries(  # zipfile writes no empty name, and cuts one at a null
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
            min_size=1,
            max_size=12,
        ),
        st.binary(max_size=200),
        max_size=4,
    )
)
def test_whatever_the_names_are_zips_agree_with_zipfile_or_say_why(files: dict[str, bytes]) -> None:
    data = zipped(files)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        theirs = {info.filename: archive.read(info) for info in archive.infolist()}
    ours = open_archive(data, "a.zip", Budget(Limits()))
    assert {entry.name for entry in ours.entries} == set(theirs)
    for entry in ours.entries:
        assert entry.problem or entry.is_folder or ours.read(entry, 999) == theirs[entry.name]
