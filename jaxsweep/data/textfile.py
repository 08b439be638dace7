"""A table's file as text: decompressed, decoded, and refused by the name of what it is if it is no text.

What a file is, its first bytes say; its name may lie.
"""

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import re
import select
import shlex
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from jaxsweep.errors import RequestError, shown

PARQUET = b"PAR1"
WRITER_SECONDS = 10  # that somebody may take to write the first byte into a pipe
_EXCEL = "an Excel workbook", "read_excel"
# What a file begins with, what it is then, and pandas' function that reads it (None: no single one does).
FORMATS: tuple[tuple[bytes, str, str | None], ...] = (
    (b"ARROW1", "a Feather file", "read_feather"),
    (b"FEA1", "a Feather file", "read_feather"),
    (b"\xd0\xcf\x11\xe0", *_EXCEL),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "read_hdf"),
    (b"SQLite format 3\0", "an SQLite database", None),
    (b"\x93NUMPY", "a NumPy array", None),
    (b"ORC", "an ORC file", "read_orc"),
    (b"%PDF", "a PDF document", None),
    (b"$FL2", "an SPSS file", "read_spss"),
    (b"<stata_dta>", "a Stata file", "read_stata"),
    *((bytes([0x80, number]), "a pickle, which may run code when it is opened", None) for number in (2, 3, 4, 5)),
    (b"Rar!", "a RAR archive", None),
    (b"7z\xbc\xaf", "a 7z archive", None),
    (b"(\xb5/\xfd", "a file packed by zstd", None),
)
NEEDS = {
    "read_excel": "openpyxl", "read_html": "lxml", "read_hdf": "tables", "read_spss": "pyreadstat",
    "read_feather": "pyarrow", "read_orc": "pyarrow", "read_xml": "lxml",
}  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


_OF_NAMES = ("punycode", "idna")  # encodings of domain names, read in a time with the square of their length
# What Python's readers of archives raise for one that is cut or damaged, bz2 for one that is cut too soon.
_DAMAGED = (
    OSError, EOFError, ValueError, RuntimeError, LookupError, OverflowError, zlib.error, lzma.LZMAError, struct.error,
    zipfile.BadZipFile,
)  # fmt: skip


def read_text(path: Path, encoding: str | None = None) -> str:
    r"""Return the text of a file, with `\n` at the end of every line.

    Args:
        path: text, or text packed as .gz, .bz2, .xz or as the one file of a .zip.
        encoding: by Python's name; default UTF-8, or what the mark at the start of the file says.

    Raises:
        RequestError: another format, a broken archive, another encoding, a NUL byte.
        OSError: the file cannot be read.
    """
    content = _unpacked(path, _content(path))
    _check_format(path, content)
    text = _decoded(path, content, encoding)
    if 100 * text.count("\0") > len(text):
        two = 4 * text.count("\0") > len(text)
        hint = ": it looks like UTF-16 without a mark, --set encoding=utf-16-le or --set encoding=utf-16-be" * two
        raise RequestError(f"{path.name} is no text{hint or ': write its table as CSV or Parquet'}")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise RequestError(
            f"line {line} of {path.name} holds a NUL character, so that the file is damaged or no text: write it "
            f"again, or remove them with tr -d '\\000' < {shlex.quote(str(path))} > NEW.csv"
        )
    _check_text_format(path, text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def is_parquet(path: Path) -> bool:
    """Return whether a file is named as Parquet or begins like it."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return True
    if not path.is_file():
        return False  # a pipe can be read once
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def opened(path: Path) -> BinaryIO:
    """Return a file or a pipe as it is to be read; RequestError if nobody writes into a pipe, OSError as `open`."""
    if not stat.S_ISFIFO(path.stat().st_mode):
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not select.select([descriptor], [], [], WRITER_SECONDS)[0]:
        os.close(descriptor)
        raise RequestError(f"{path} is a pipe into which nobody has written for {WRITER_SECONDS} s")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def _content(path: Path) -> bytes:
    """Return what a file or a pipe holds; RequestError if nobody writes into a pipe, or it is a device."""
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise RequestError(f"{path} is a device: it must be a CSV or Parquet file, or a pipe")
    with opened(path) as file:
        return file.read()


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"BZh"):
            return bz2.decompress(content)
        if content.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(content)
        if content.startswith(b"PK\x03\x04"):
            return _unzipped(path, content)
    except RequestError:
        raise
    except _DAMAGED as error:
        raise RequestError(f"{path} cannot be unpacked ({error}): it must be a whole archive") from error
    return content


def _unzipped(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if any(name.startswith("xl/") for name in names):
            raise RequestError(_other_format(path, *_EXCEL))
        if any(name == "content.xml" for name in names):
            raise RequestError(_other_format(path, "an OpenDocument sheet", "read_excel"))
        if any(name.endswith(".npy") for name in names):
            raise RequestError(_other_format(path, "a file of NumPy arrays", None))
        if len(names) != 1:
            raise RequestError(
                f"{path.name} is a zip of {len(names)} files ({', '.join(names[:5])}{', ...' * (len(names) > 5)}): "
                "it must hold one table; unpack it and name the one that is meant"
            )
        if archive.getinfo(names[0]).flag_bits & 1:
            raise RequestError(f"{path.name} is a zip with a password: unpack it first")
        return archive.read(names[0])


def _check_format(path: Path, content: bytes) -> None:
    if content.startswith(PARQUET):
        raise RequestError(f"{path.name} holds a Parquet file: unpack it first")
    for start, what, function in FORMATS:
        if content.startswith(start):
            raise RequestError(_other_format(path, what, function))


def _check_text_format(path: Path, text: str) -> None:
    """Raise RequestError if the text is that of another format."""
    head = text[:4096].lstrip("\ufeff \t\r\n")
    if head.startswith("{"):
        lines = ", lines=True" if re.search(r"}\r?\n{", text) else ""
        raise RequestError(_other_format(path, "JSON", "read_json", lines))
    if head.startswith(("[{", "[[", "[\n")):
        raise RequestError(_other_format(path, "JSON", "read_json"))
    if head[:9].lower().startswith(("<!doctype", "<html", "<table")):
        raise RequestError(_other_format(path, "a web page (HTML)", "read_html"))
    if head.startswith("<?xml"):
        raise RequestError(_other_format(path, "XML", "read_xml"))
    stripped = (line.strip() for line in io.StringIO(text))
    first = next((line for line in stripped if line and not line.startswith("%")), "")
    if first.lower().startswith("@relation"):
        raise RequestError(_other_format(path, "an ARFF file (of Weka)", None))


def _other_format(path: Path, what: str, function: str | None, more: str = "") -> str:
    source, target = json.dumps(str(path)), json.dumps(str(Path(path.name).with_suffix(".csv")))
    start = f"{path.name} is {what}, not CSV or Parquet"
    if what.startswith("an ARFF"):
        code = f"from scipy.io.arff import loadarff; import pandas; d = pandas.DataFrame(loadarff({source})[0]); "
        code += f"d.map(lambda v: v.decode() if isinstance(v, bytes) else v).to_csv({target}, index=False)"
    elif function is None:
        return f"{start}: write its table as CSV or Parquet first"
    else:
        table = f"pandas.{function}({source}{more})" + "[0]" * (function == "read_html")
        code = f"import pandas; {table}.to_csv({target}, index=False)"
    needs = NEEDS.get(function or "", "")
    return f"{start}: convert it with python -c {shlex.quote(code)}" + f" (which needs pip install {needs})" * bool(
        needs
    )


def _decoded(path: Path, content: bytes, encoding: str | None) -> str:
    if encoding is not None:
        try:
            if codecs.lookup(encoding).name in _OF_NAMES:
                raise LookupError(encoding)
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise RequestError(f"{path.name} is not text in {encoding} ({error}): name another encoding") from None
        except (LookupError, ValueError):  # a name with a NUL character is none at all
            raise RequestError(
                f"encoding = {shown(encoding)} is not known: it must be a name that Python knows, such as latin-1 or "
                "cp1252"
            ) from None
    found = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(found)
    except UnicodeDecodeError as error:
        advice = "name its encoding, such as --set encoding=latin-1 (in Python encoding='latin-1'), or save it in UTF-8"
        zeros = content[:200].count(0)
        if zeros > len(content[:200]) // 4:
            advice = "it looks like UTF-16 without a mark: --set encoding=utf-16-le or --set encoding=utf-16-be"
        raise RequestError(
            f"{path.name} is not text in {found.upper().removesuffix('-SIG')} (byte "
            f"{content[min(error.start, len(content) - 1)]:#04x} at position {error.start}): {advice}"
        ) from None
