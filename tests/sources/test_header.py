"""Headers: the native reader and NumPy's own agree on every file, byte for byte.

The deliberate differences, all in headers that no NumPy has written, are listed at the top of
``csrc/core/npy/header.cc`` and recognised by ``_is_known_difference`` here. All others are defects.
"""

from __future__ import annotations

import importlib
import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import BACKENDS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy_format

import npyfast
from npyfast._backends import header as _header
from npyfast._backends.header import Header
from npyfast._backends.row_view import PLAIN
from npyfast._errors import NpyFormatError

try:
    _core: Any = importlib.import_module("npyfast._core")
except ImportError:  # pure Python: only NumPy's reader is there to be tested
    _core = None

# A missing extension fails these tests, unless it is left out on purpose.
needs_native = pytest.mark.skipif(
    "native" not in BACKENDS,
    reason="NPYFAST_TEST_BACKENDS leaves the native backend out",
)

Reader = Callable[[Any], Header]
Parsed = tuple[Any, ...]


@pytest.fixture(params=["numpy", pytest.param("native", marks=needs_native)])
def read(request: pytest.FixtureRequest) -> Reader:
    reader: Reader = importlib.import_module(f"npyfast._backends.{request.param}").read_header
    return reader


def header_bytes(text: str | bytes, major: int = 1) -> bytes:
    """The start of a file whose header is ``text``."""
    body = text.encode("utf8" if major == 3 else "latin1") if isinstance(text, str) else text
    length = len(body).to_bytes(2 if major == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([major, 0]) + length + body


def describe(descr: str, shape: str = "(2,)", fortran_order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}"


def verdict(parse: Callable[[bytes], Parsed], data: bytes) -> Parsed | None:
    """What a reader makes of ``data``; None where it refuses."""
    try:
        return parse(data)
    except NpyFormatError:
        return None


def same(a: Parsed, b: Parsed) -> bool:
    # Two StringDTypes are not always equal, hence the text.
    return a[:2] == b[:2] and str(a[2]) == str(b[2]) and a[3:] == b[3:]


_NUMPY_2_5 = np.lib.NumpyVersion(np.__version__) >= "2.5.0"


def _is_known_difference(data: bytes, ours: Parsed | None, numpys: Parsed | None) -> bool:
    if ours is not None:
        # CPython sees an indented line.
        blank_end = re.search(rb"[\r\n][ \t\f]+$", data) is not None
        empty_title = re.search(rb"\(\s*[rRuU]?(''|\"\")", data) is not None
        # 'a' for 'S' was in every NumPy up to 2.4.
        old_string = _NUMPY_2_5 and re.search(rb"a\d*\s*['\",]", data) is not None
        return (numpys is None and (blank_end or old_string)) or empty_title
    try:
        _core.parse_header(data)
    except NpyFormatError as error:
        return any(re.search(pattern, str(error), re.DOTALL) for pattern in _REFUSED_BY_US)
    raise AssertionError("unreachable")


# The messages for what NumPy lets pass by accident.
_REFUSED_BY_US = (
    r"^the shape of a sub-array in the dtype is no tuple of ints",  # ('<f4', '<i4'), ('<f4', b'ab')
    r"^a dtype of no size takes no shape",  # ('S', 'i4'), (('<f4', (0,)), 3)
    r"^a field of the dtype is no tuple",  # ['ab']: a name and a descr
    r"^the name of a field of the dtype",  # a title that is no text
    r"^'descr' is no string, no tuple and no list",  # {'ab': 1}, whose keys are taken for fields
    r"^NumPy knows no dtype '.?([Mm]8|datetime64|timedelta64)\[.*/",  # odd divisors
    r"^an item of the dtype takes 2 GiB",  # 'V2147483647,V2147483647,V2': the sum overflows
    r"an escape (that is no character|by a character's name)",  # '\ud800', '\N{DASH}'
)


def assert_agree(data: bytes) -> None:
    numpys = verdict(_header.parse_header_numpy, data)
    ours = verdict(_core.parse_header, data)
    if numpys is None and ours is None:
        return
    if numpys is not None and ours is not None and same(numpys, ours):
        return
    assert _is_known_difference(data, ours, numpys), f"{data!r}\n numpy: {numpys}\n native: {ours}"


# ---------------------------------------------------------------- files


DTYPES = [
    "|b1", "|i1", "<u2", ">i4", "<u8", "<f2", ">f4", "<f8", "<f16", "<c8", ">c16", "<c32", "|S7",
    "<U3", ">U3", "<M8[D]", ">m8[25us]", "|V5", "<M8",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4), (5, 0, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_what_numpy_writes(
    read: Reader, tmp_path: Path, dtype: str, shape: tuple[int, ...], order: Any
) -> None:
    array = np.zeros(shape, dtype, order)
    path = tmp_path / "a.npy"
    np.save(path, array)
    header = read(path)
    fortran_order = order == "F" and not array.flags.c_contiguous
    assert header == Header((1, 0), shape, array.dtype, fortran_order, 128)
    assert header.nbytes == array.nbytes == path.stat().st_size - 128


STRUCTURED: list[Any] = [
    [("x", "<f4"), ("y", ">i2", (2, 3))],
    [(("Title", "x"), "<f4"), ("y", "|S3")],
    [("nested", [("a", "<M8[s]"), ("b", "?")], (2,))],
    np.dtype([("a", "i1"), ("b", "f8")], align=True),
    [("größe", "<f4"), ("μ", "<f8")],
    [('it\'s "quoted"\\\n', "<f4")],
    [],
]


@pytest.mark.parametrize("dtype", STRUCTURED, ids=str)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
def test_reads_structured_arrays_in_every_version(
    read: Reader, tmp_path: Path, dtype: Any, version: tuple[int, int]
) -> None:
    array = np.zeros((4, 2), dtype)
    path = tmp_path / "a.npy"
    with open(path, "wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            npy_format.write_array(file, array, version)
        except UnicodeEncodeError:
            assert version != (3, 0)
            return
    header = read(path)
    assert (header.version, header.shape, header.dtype) == (version, (4, 2), array.dtype)
    assert header.nbytes == array.nbytes


def test_accepts_any_path_and_a_file_with_more_data(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header_bytes(describe("'<f4'")) + bytes(100))
    assert read(path) == read(str(path))
    assert read(path).nbytes == 8


def test_describes_object_arrays(read: Reader, tmp_path: Path) -> None:
    # Opening one raises TypeError; its pickle may be shorter than the pointers would be.
    path = tmp_path / "a.npy"
    np.save(path, np.array([None] * 1000), allow_pickle=True)
    assert read(path).dtype == object
    assert read(path).shape == (1000,)


def test_warns_of_nothing(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header_bytes(describe("'S4'", "(2L,)")) + bytes(8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(path).dtype == np.dtype("S4")


def test_truncated_file(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "train.npy"
    path.write_bytes(header_bytes(describe("'|u1'", "(8000, 224, 224, 3)")) + bytes(1000))
    with pytest.raises(NpyFormatError) as raised:
        read(path)
    assert str(raised.value) == (
        f"{path}: holds 1,000 bytes of data, its header promises 1,204,224,000 "
        "(8000, 224, 224, 3) uint8: the file is truncated; copy it again"
    )


def test_every_truncation_of_a_header_is_refused(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(0))
    whole = path.read_bytes()
    read(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(NpyFormatError, match="a.npy: not a readable .npy file: "):
            read(path)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "text": b"1,2,3\n4,5,6\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "pickle": b"\x80\x04\x95" + bytes(100),
    "version 4": header_bytes(describe("'<f4'"), 4),
    "version 1.1": b"\x93NUMPY\x01\x01" + header_bytes(describe("'<f4'"))[8:],
    "no dictionary": header_bytes("[1, 2]"),
    "no literal": header_bytes("dict(shape=(2,))"),
    "missing key": header_bytes("{'descr': '<f4', 'shape': (2,)}"),
    "extra key": header_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"),
    "shape a list": header_bytes(describe("'<f4'", "[2]")),
    "shape of floats": header_bytes(describe("'<f4'", "(2.0,)")),
    "shape of bools": header_bytes(describe("'<f4'", "(True,)")),
    "negative": header_bytes(describe("'<f4'", "(-1,)")),
    "huge dimension": header_bytes(describe("'<f4'", f"({2**63},)")),
    "huge product": header_bytes(describe("'<f4'", f"({2**31}, {2**31})")),
    "huge but for a zero": header_bytes(describe("'<f4'", f"(0, {2**31}, {2**31})")),
    "huge number of nothing": header_bytes(describe("'|V0'", f"({2**32}, {2**32})")),
    "65 dimensions": header_bytes(describe("'<f4'", "(" + "1, " * 65 + ")")),
    "fortran_order an int": header_bytes(describe("'<f4'", fortran_order="0")),
    "unknown dtype": header_bytes(describe("'<f3'")),
    "descr a number": header_bytes(describe("4")),
    "sub-array": header_bytes(describe("('<f4', (3,))")),
    "repeated names": header_bytes(describe("[('a', '<f4'), ('a', '<f4')]")),
    "not UTF-8": header_bytes(describe("'<f4'").encode() + b"#\xff", 3),
    "NUL padding": header_bytes(describe("'<f4'") + "\0" * 20),
    "too large": header_bytes(describe("'<f4'") + " " * 10_000),
    "promises 4 GiB of header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + describe("'<f4'").encode(),
    "nested": header_bytes("(" * 5000),
    "signs": header_bytes("-" * 5000 + "1"),
    "division by zero": header_bytes(describe("'<M8[s/0]'")),
    "division by zero, after overflow": header_bytes(describe("'<M8[s/4294967296]'")),
    "itemsize overflow": header_bytes(describe("'V2147483647,V2147483647,V8'")),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_file(read: Reader, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(data)
    with pytest.raises(NpyFormatError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: not a readable .npy file: ")


def test_errors_of_the_system_pass(read: Reader, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        read(tmp_path / "missing.npy")
    assert missing.value.filename == str(tmp_path / "missing.npy")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@needs_native
def test_prefix_tells_where_the_data_begins() -> None:
    data = header_bytes(describe("'<f4'"), 3)
    assert _core.header_bytes(data[: _core.PREFIX_BYTES]) == len(data)
    assert _core.parse_header(data + b"data")[4] == len(data)


# ---------------------------------------------------------------- differential

# A loaded machine is no defect of these tests: neither examples nor their making have a deadline.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def field_dtypes(draw: st.DrawFn, base: st.SearchStrategy[Any]) -> list[Any]:
    """A list of fields for numpy.dtype, some with titles and shapes."""
    names: list[str] = draw(st.lists(st.text(max_size=4), max_size=6, unique=True))
    fields: list[Any] = []
    while names:
        name: Any = names.pop()
        titled = draw(st.booleans())
        if titled and names and names[-1]:
            name = (names.pop(), name)
        field: tuple[Any, ...] = (name, draw(base))
        if draw(st.booleans()):
            field = (*field, draw(hnp.array_shapes(max_dims=2, max_side=3)))
        fields.append(field)
    return fields


scalar_dtypes = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(max_len=20),
    hnp.unicode_string_dtypes(max_len=20),
    st.sampled_from(DTYPES).map(np.dtype),
    st.just(np.dtype(object)),
)


def as_dtype(fields: list[Any], align: bool) -> np.dtype[Any] | None:
    try:
        dtype: np.dtype[Any] = np.dtype(fields, align=align)
        repr(dtype).encode()
    except (ValueError, TypeError):  # names that clash, lone surrogates
        return None
    return dtype


dtypes: st.SearchStrategy[Any] = st.recursive(
    scalar_dtypes,
    lambda inner: st.builds(as_dtype, field_dtypes(inner), st.booleans()).filter(
        lambda d: d is not None
    ),
    max_leaves=8,
)
spaces = st.sampled_from(["", "", "", " ", "  ", "\n", "\t", "\f", "\\\n", "# x\n", "\r\n"])
shapes = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**64)), max_size=4).map(tuple)


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, int]:
    """The text of a header, as NumPy or as another program might write it, and its version."""
    major = draw(st.sampled_from([1, 2, 3]))
    descr = npy_format.dtype_to_descr(draw(dtypes))
    shape = repr(draw(shapes))
    if major < 3 and draw(st.booleans()):
        shape = re.sub(r"(\d)([,)])", r"\1L\2", shape)
    items = draw(
        st.permutations(
            [("descr", repr(descr)), ("fortran_order", repr(draw(st.booleans()))), ("shape", shape)]
        )
    )
    text = "".join(
        f"{draw(spaces)}'{key}'{draw(spaces)}:{draw(spaces)}{value}{draw(spaces)},"
        for key, value in items
    )
    text = "{" + text + "}" + " " * draw(st.integers(0, 70)) + draw(st.sampled_from(["", "\n"]))
    if major < 3:
        text = text.encode("latin1", "backslashreplace").decode("latin1")
    return text, major


@needs_native
@unhurried
@given(headers())
def test_readers_agree_on_well_formed_headers(header: tuple[str, int]) -> None:
    assert_agree(header_bytes(*header))


@needs_native
@unhurried
@given(dtypes)
def test_dtypes_come_through(dtype: np.dtype[Any]) -> None:
    # NumPy makes a header of the dtype, and what comes back is what numpy.load would have.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        npy_format.write_array(file, np.zeros(0, dtype), (3, 0))
    parsed = _core.parse_header(file.getvalue())
    assert parsed[2] == npy_format.descr_to_dtype(npy_format.dtype_to_descr(dtype))


TOKENS = [
    "'", '"', "'''", "(", ")", "[", "]", "{", "}", ",", ":", " ", "\n", "\t", "\f", "\v", "\r",
    "\\", "\\\n", "#", "L", "u", "b", "r", "f", "None", "True", "set()", "...", "-", "+", "0",
    "1", "0x1f", "0o17", "0b1", "1_0", "1e5", ".5", "1j", "9" * 20, "'<f4'", "'a'", "''",
    "('t', 'n')", "(2,)", "(2, 3)", "()", "[('a', '<f4')]", "'descr'", "'shape'",
    "'fortran_order'", "\\x41", "\\101", "\\u00e9", "\\n", "\\'", "<", ">", "=", "|", "i8", "S",
    "U", "V", "M8[", "]", "[s]", "[25s]", "/10", "ns", "generic", "O", "c", "?", "2", "(2,)f4",
    "float", "\x00", "\x1c", "\x7f", "\x85", "\xa0", "\xb5", "'V0'", "('', 'V4')", "T", "~",
    "not ", "*",
]  # fmt: skip

edits = st.lists(
    st.tuples(
        # where, how much goes, and what comes
        st.floats(0, 1),
        st.integers(0, 10),
        st.one_of(st.sampled_from(TOKENS), st.characters(max_codepoint=255), st.just("")),
    ),
    min_size=1,
    max_size=4,
)


def edited(text: str, changes: list[tuple[float, int, str]]) -> str:
    for where, length, new in changes:
        at = int(where * len(text))
        text = text[:at] + new + text[at + length :]
    return text


@needs_native
@unhurried
@given(headers(), edits)
def test_readers_agree_on_edited_headers(
    header: tuple[str, int], changes: list[tuple[float, int, str]]
) -> None:
    text, major = header
    encoding = "utf8" if major == 3 else "latin1"
    assert_agree(header_bytes(edited(text, changes).encode(encoding, "replace"), major))


@needs_native
@unhurried
@given(headers(), st.data())
def test_readers_agree_on_damaged_bytes(header: tuple[str, int], data: st.DataObject) -> None:
    damaged = bytearray(header_bytes(*header))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert_agree(bytes(damaged))


STRING_TOKENS = [
    *"<>=|()[], 0123456789/+-?.fac", "f4", "i8", "S", "U", "V", "O", "M8", "m8", "datetime64",
    "timedelta64", "s", "ns", "us", "W", "D", "Y", "h", "as", "generic", "float64", "int", "b1",
    "f2", "c16", "10", "1000", "24", "2147483647", "536870911", "(2,)", "(2,3)", "\\n", "μ", "q",
    "T", "bool", "str", "void",
]  # fmt: skip


@needs_native
@unhurried
@given(st.lists(st.sampled_from(STRING_TOKENS), max_size=7).map("".join))
@example("f4,<")
@example("M8[us/1000]")
def test_readers_agree_on_dtype_strings(text: str) -> None:
    assert_agree(header_bytes(describe(f"'{text}'"), 3))


names = st.sampled_from(
    ["'a'", "'b'", "''", "('t', 'a')", "('t', 'b')", "(None, 'c')", "b'a'", "1", "('t',)"]
)
SUB_SHAPES = [
    "(2,)", "()", "(2, 3)", "1", "3", "0", "(0,)", "(2, True)", "[2]", "-1", "(65536, 65536)",
    "2.0", "((2,),)",
]  # fmt: skip
SIMPLE = [
    "'<f4'", "'>i2'", "'V0'", "'V4'", "'S'", "'U'", "'S2'", "'O'", "'2f4'", "'f4,i4'", "None",
]  # fmt: skip
sub_shapes = st.sampled_from(SUB_SHAPES)
descrs = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(
        st.builds("({}, {})".format, inner, sub_shapes),
        st.lists(
            st.one_of(
                st.builds("({}, {})".format, names, inner),
                st.builds("[{}, {}]".format, names, inner),
                st.builds("({}, {}, {})".format, names, inner, sub_shapes),
            ),
            max_size=4,
        ).map(lambda fields: "[" + ", ".join(fields) + "]"),
    ),
    max_leaves=6,
)


@needs_native
@unhurried
@given(descrs)
def test_readers_agree_on_descrs(descr: str) -> None:
    assert_agree(header_bytes(describe(descr)))


# ---------------------------------------------------------------- dtypes in memory


IN_MEMORY: list[Any] = [
    {"names": ["b", "a"], "formats": ["<i4", ">f8"], "offsets": [8, 0], "itemsize": 20},
    {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2], "titles": ["A", None]},
    np.dtype([("a", "i1"), ("b", "f8")], align=True),
    [("a", [("b", "<U2", (2,))], (3,))],
    "<M8[25s]",
    "<m8",
    *DTYPES,
]


@needs_native
@pytest.mark.parametrize("dtype", IN_MEMORY, ids=str)
def test_dtypes_in_memory_come_back(dtype: Any) -> None:
    dtype = np.dtype(dtype)
    assert _core.Array.view(np.zeros(3, dtype), PLAIN.numbers).dtype == dtype


@needs_native
def test_foreign_dtypes_are_bytes() -> None:
    import ml_dtypes

    assert _core.Array.view(np.zeros(3, ml_dtypes.bfloat16), PLAIN.numbers).dtype == np.dtype("V2")


def test_readers_do_not_need_the_main_thread(read: Reader, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 5), "<f4"))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [path] * 50))
    assert found == [Header((1, 0), (3, 5), np.dtype("<f4"), False, 128)] * 50


def test_header_is_a_value() -> None:
    header = Header((1, 0), (3, 5), np.dtype("<f4"), False, 128)
    assert header.nbytes == 60
    with pytest.raises(AttributeError):
        header.data_offset = 0  # type: ignore[misc]


@pytest.mark.usefixtures("backend")
def test_data_that_looks_like_part_of_a_header(tmp_path: Path) -> None:
    # As of the unit of a date, which must not be divided by zero.
    data = np.frombuffer(b"<M8[s/0]" * 4, "u1")
    np.save(tmp_path / "x.npy", data)
    assert npyfast.read_header(tmp_path / "x.npy").shape == (32,)
    assert np.array_equal(npyfast.open(tmp_path / "x.npy")[:], data)
