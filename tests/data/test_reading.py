"""What a column is: numbers in any writing, dates, categories; what is left out; and what the owner is told."""

import csv
import gzip
import io
import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import Write, column

from jaxsweep.data import Dataset, csvfile, prepare, read_raw, read_table
from jaxsweep.data.columns import make_column
from jaxsweep.data.dates import find_formats, parse_dates, part_of
from jaxsweep.data.forms import Ambiguous, NumberForm, find_form
from jaxsweep.data.options import TableOptions
from jaxsweep.errors import RequestError
from jaxsweep.setup import how_read


def said(data: Dataset) -> str:
    return "; ".join(data.notes)


FORMS = [
    (["1,5", "2,25"], {}, [1.5, 2.25]),
    (["1.234,5", "7"], {}, [1234.5, 7]),
    (["1,234", "7,000"], {"delimiter": ","}, [1234, 7000]),
    (["1,234", "7,000"], {"delimiter": ";"}, [1.234, 7]),
    (["1,234", "7,000"], {"decimal": "."}, [1234, 7000]),
    (["1,234,567", "12"], {}, [1234567, 12]),
    (["1 234 567", "1\u202f000", "5"], {}, [1234567, 1000, 5]),
    (["1'234.5", "2"], {}, [1234.5, 2]),
    (["47%", "-3.5 %"], {}, [47, -3.5]),
    (["$1,234.50", "-$3", "$ 7"], {}, [1234.5, -3, 7]),
    (["3,50 €", "1.000,00 €"], {}, [3.5, 1000]),
    (["12 km", "3.5 km"], {}, [12, 3.5]),
    (["1e3 m/s", "2 m/s"], {}, [1000, 2]),
    (["0,123", "0,999"], {}, [0.123, 0.999]),
]


@pytest.mark.parametrize(("words", "options", "numbers"), FORMS)
def test_forms_of_numbers(words: list[str], options: dict[str, str], numbers: list[float]) -> None:
    form = find_form(words, **options)
    assert isinstance(form, NumberForm)
    assert [form.parse(word) for word in words] == numbers
    assert NumberForm.from_json(form.to_json()) == form


@pytest.mark.parametrize(
    "words",
    [
        ["red"],
        ["12 km", "3 mi"],
        ["12 km", "3"],
        ["1,23,456"],
        ["1-2"],
        ["A5"],
        ["1,2,3"],
        ["12.3.4"],
        ["--1 km"],
        ["5 7"],
    ],
)
def test_what_is_no_number_in_every_cell_is_none(words: list[str]) -> None:
    assert find_form(words) is None


def test_a_separator_that_may_be_either_is_not_guessed() -> None:
    assert isinstance(find_form(["1,234", "5,678"]), Ambiguous)
    assert isinstance(find_form(["€1.234", "€5.678"]), Ambiguous)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    st.sampled_from([(".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'")]),
    st.sampled_from(["", "%", " km", "€"]),
)
def test_grouped_numbers_round_trip(cents: list[int], marks: tuple[str, str], suffix: str) -> None:
    words = [
        f"{cent / 100:,.2f}".replace(",", "G").replace(".", marks[0]).replace("G", marks[1]) + suffix for cent in cents
    ]
    form = find_form(words, decimal=marks[0])
    assert isinstance(form, NumberForm)
    assert [form.parse(word) for word in words] == [cent / 100 for cent in cents]


@pytest.mark.parametrize(
    ("words", "formats"),
    [
        (["2015-12-27", "2014-01-02"], ["%Y-%m-%d"]),
        (["3/4/2004", "13/4/2004"], ["%d/%m/%Y"]),
        (["3/4/2004", "3/14/2004"], ["%m/%d/%Y"]),
        (["3/4/2004", "5/6/2004"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["4/4/2004", "5/5/2004"], ["%d/%m/%Y"]),  # the same either way
        (["18:30", "07:00"], ["%H:%M"]),
        (["27.12.2015 18:30:05"], ["%d.%m.%Y %H:%M:%S"]),
        (["2015-12-27T10:00:00Z", "2015-12-27T11:00:00+01:00"], ["%Y-%m-%dT%H:%M:%S%z"]),
        (["05-Jan-15", "06-Feb-16"], ["%d-%b-%y"]),
        (["10-12", "13-15"], []),
        (["1.5.2", "1.6.0"], []),
        (["2015-12-27", "yesterday"], []),
    ],
)
def test_formats_of_dates(words: list[str], formats: list[str]) -> None:
    assert find_formats(words) == formats


def test_parts_of_dates_are_those_of_the_calendar() -> None:
    stamps = pd.date_range("1969-12-30 05:30", "2031-01-01", freq="377h")
    dates = parse_dates([f"{stamp:%Y-%m-%d %H:%M}" for stamp in stamps], "%Y-%m-%d %H:%M")
    for part in ("year", "month", "day", "day_of_week"):
        np.testing.assert_array_equal(part_of(dates, part.replace("day_of_week", "weekday")), getattr(stamps, part))
    np.testing.assert_allclose(part_of(dates, "hour"), stamps.hour + stamps.minute / 60)
    np.testing.assert_allclose(part_of(dates, "days"), (stamps - pd.Timestamp(0)) / pd.Timedelta("1D"))


def test_dates_become_numbers_as_far_as_they_vary(write: Write) -> None:
    text = "when,a,t\n" + "".join(f"2020-0{1 + row % 3}-10,{row},{'xy'[row % 2]}\n" for row in range(12)) + ",3,x\n"
    data = read_table(write(text), "t")
    assert [col.name for col in data.inputs] == ["when days", "when month", "when weekday", "a"]
    assert "'when' is read as dates in the format %Y-%m-%d: days, month, weekday" in said(data)
    names = prepare(data, split=(0.6, 0.4, 0)).feature_names
    assert [name for name in names if "missing" in name] == ["when days missing"]  # the parts are missing together


def test_dates_that_may_be_either_are_said(write: Write) -> None:
    text = "when,t\n" + "".join(f"{1 + row % 4}/{1 + row % 5}/2020,{row}.5\n" for row in range(40))
    data = read_table(write(text), "t")
    assert "whose day and month cannot be told apart: taken as 20 categories (--set day_first=true" in said(data)
    days = column(read_table(write(text), "t", day_first=True), "when day")
    assert days == [1 + row % 4 for row in range(40)]
    assert column(read_table(write(text), "t", day_first=False), "when month") == days


def test_dates_in_frames_and_parquet(tmp_path: Path) -> None:
    when = pd.DatetimeIndex(["2020-01-01 06:00", "2020-03-01 18:30", pd.NaT, "2021-01-01 06:00"])
    frame = pd.DataFrame({"when": when, "zoned": when.tz_localize("Europe/Berlin"), "t": ["x", "y", "x", "y"]})
    frame.to_parquet(tmp_path / "f.parquet")
    for data in (read_table(tmp_path / "f.parquet", "t"), Dataset.from_arrays(frame[["when", "zoned"]], frame["t"])):
        assert column(data, "when year") == [2020, 2020, None, 2021]
        assert column(data, "when hour") == column(data, "zoned hour") == [6, 18.5, None, 6]


def test_ids_counters_and_texts(write: Write) -> None:
    rows = [f"{row},{row + 1},{row * 7 % 97},word {row},{'ab'[row % 2]},{row * 3 % 5},{row % 2}" for row in range(30)]
    path = write("\n".join([",number,userId,text,kind,size,t", *rows]))
    data = read_table(path, "t")
    assert [col.name for col in data.inputs] == ["number", "userId", "kind", "size"]
    assert "left out, since it has no name and only counts the rows: column '0'" in said(data)
    assert "left out, since nearly every row has a word of its own there: 'text' (--set keep=text takes it in)" in said(
        data
    )
    assert """'number', 'userId' seem to count or name the rows: --set 'drop=["number", "userId"]'""" in said(data)
    everything = read_table(path, "t", keep=["text", 0, "number", "userId"])
    assert [col.name for col in everything.inputs] == ["0", "number", "userId", "text", "kind", "size"]
    assert not said(everything).startswith("left")


def test_declared_columns(write: Write) -> None:
    rows = [f"0{row % 3},{row % 4},{'n/k' if row == 3 else row / 2},{'ab'[row % 2]}" for row in range(20)]
    path = write("\n".join(["code,level,size,t", *rows]))
    assert column(read_table(path, "t"), "code") == [row % 3 for row in range(20)]
    data = read_table(path, "t", categories=["code", 1], numbers="size")
    assert column(data, "code") == [f"0{row % 3}" for row in range(20)]
    assert column(data, "level") == [str(row % 4) for row in range(20)]
    assert column(data, "size")[3] is None
    assert "1 cell of 'size', such as 'n/k' in row 3 (from 0), is no number and counts as missing" in said(data)
    with pytest.raises(RequestError, match="categories and numbers both name the column 'code'"):
        read_table(path, "t", categories=["code"], numbers=["code"])
    with pytest.raises(RequestError, match="keep and drop both name the column 'code'"):
        read_table(path, "t", keep=["code"], drop=["code"])
    with pytest.raises(RequestError, match=r"categories: column 'cod' is not in cars.csv; did you mean 'code'\?"):
        read_table(path, "t", categories=["cod"])


def test_missing_words(write: Write) -> None:
    words = ["-", ".", "#NULL!", "#DIV/0!", "na", r"\N", "null", "NIL", "", "?", "NaN"]
    path = write("a,b,t\n" + "".join(f"{word},{word},{row % 2}\n" for row, word in enumerate([*words, "1", "2"])))
    assert column(read_table(path, "t"), "a") == [None] * len(words) + [1, 2]
    coded = write("a,b,t\n-200,NIL,x\n5,none,y\n-200.0,q,x\n7,q,y\n8,none,x\n9,q,y\n")
    data = read_table(coded, "t", missing=[-200, "none"])
    assert column(data, "a") == [None, 5, None, 7, 8, 9]
    assert column(data, "b") == [None, None, "q", "q", None, "q"]


def test_a_minus_beside_a_plus_is_a_word(write: Write) -> None:
    data = read_table(write("a,t\n" + "".join(f"{'+-'[row % 2]},{'-+'[row % 3 == 0]}\n" for row in range(12))), "t")
    assert column(data, "a") == ["+", "-"] * 6
    assert data.classes == ("+", "-")
    assert Dataset.from_arrays(np.arange(4.0)[:, None], ["+", "-", "+", "-"]).classes == ("+", "-")


def test_rows_without_a_target_and_rare_classes(write: Write) -> None:
    path = write("a,t\n" + "".join(f"{row},{'xy'[row % 2]}\n" for row in range(12)) + "1,\n2,z\n3,z\n")
    with pytest.raises(RequestError, match=r"1 missing value.*--set missing_target=drop leaves such rows out"):
        read_table(path, "t")
    data = read_table(path, "t", missing_target="drop")
    assert (data.rows, data.classes) == (14, ("x", "y", "z"))
    assert "1 row without a target left out" in said(data)
    with pytest.raises(RequestError, match=r"class 'z' of cars has 2 rows.*--set min_class_rows=3.*--set split="):
        prepare(data)
    least = read_table(path, "t", missing_target="drop", min_class_rows=3)
    assert (least.rows, least.classes) == (12, ("x", "y"))
    assert "2 rows of classes with fewer than 3 left out: z" in said(least)
    prepare(least)


def test_a_target_of_numbers_is_no_thousand_classes(write: Write) -> None:
    rows = "".join(f'{row},"{row + 1},{row:03d}"\n' for row in range(30))
    assert read_table(write("a,t\n" + rows), "t").target[:2].tolist() == [1000, 2001]
    piped = write("a|t\n" + "".join(f"{row}|{row + 1},{row:03d}\n" for row in range(30)))
    with pytest.raises(
        RequestError, match=r"target 't' holds numbers such as '1,000'.*--set decimal=, or --set decimal=\."
    ):
        read_table(piped, "t")
    assert read_table(piped, "t", decimal=",").target[:2].tolist() == [1, 2.001]
    assert read_table(piped, "t", decimal=".").target[:2].tolist() == [1000, 2001]


CARS = "doors,colour,price\n4,red,10.5\n2,blue,12\n,red,9\n4,?,8.25\n"
NUL = b"a,b\n" * 99 + b"3,\x00\n"
LAYOUTS = {
    "pipe": CARS.replace(",", "|"),
    "spaces": CARS.replace("\n,", "\n? ").replace(",", "  "),
    "sep": "sep=;\n" + CARS.replace(",", ";"),
    "comments": "# made by hand\n#\n" + CARS,
    "comments among": CARS.replace("2,blue", "# a remark\n2,blue"),
    "trailing comma in the header": CARS.replace("price\n", "price,\n"),
    "header behind #": "# doors,colour,price\n" + CARS.partition("\n")[2],
    "UTF-16": CARS.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + CARS.encode("utf-16-be"),
    "old Mac": CARS.replace("\n", "\r"),
    "gzip": gzip.compress(CARS.encode()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(write: Write, layout: str) -> None:
    data = read_table(write(LAYOUTS[layout]), "price")
    assert column(data, "doors") == [4, 2, None, 4]
    assert column(data, "colour") == ["red", "blue", "red", None]
    assert data.target.tolist() == [10.5, 12, 9, 8.25]
    assert ("comment line" in said(data)) == layout.startswith("comments")


def test_what_is_said_of_a_layout_goes_before_what_is_found_out(write: Write) -> None:
    path = write("a:b\n1:2\n3:4\n5:6\n")
    assert read_raw(path, options=TableOptions(delimiter=":")).names == ("a", "b")
    with pytest.raises(
        RequestError, match="delimiter = '::' is not legal: it must be a single character, or one of tab"
    ):
        read_table(path, "b", delimiter="::")
    accents = write("a,ü\n1,é\n2,é\n3,ß\n4,ß\n".encode("cp1252"))
    with pytest.raises(RequestError, match="name its encoding, such as --set encoding=latin-1"):
        read_table(accents, "ü")
    assert set(read_table(accents, "ü", encoding="cp1252").classes or ()) == {"é", "ß"}
    with pytest.raises(RequestError, match="encoding = 'klingon' is not known"):
        read_table(accents, "ü", encoding="klingon")


def test_archives_and_other_formats(write: Write, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cars.csv", CARS)
    assert read_table(write(buffer.getvalue(), "cars.zip"), "price").rows == 4
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("more.csv", CARS)
    with pytest.raises(RequestError, match=r"cars.zip is a zip of 2 files \(cars.csv, more.csv\)"):
        read_table(write(buffer.getvalue(), "cars.zip"), "price")
    with pytest.raises(RequestError, match="cannot be unpacked"):
        read_table(write(gzip.compress(CARS.encode())[:-9], "cars.csv.gz"), "price")
    others = {
        b"\xd0\xcf\x11\xe0\xa1": "an Excel workbook", b"<html><table>": "a web page", b'{"a": 1}\n{"a": 2}\n': "JSON",
        b"% weka\n@RELATION x\n": "an ARFF file", b"\x89HDF\r\n\x1a\n": "an HDF5 file", NUL: "holds a NUL",
        b"\x80\x04\x95abc": "a pickle", b"SQLite format 3\0": "an SQLite database",
    }  # fmt: skip
    for content, words in others.items():
        with pytest.raises(RequestError, match=words) as caught:
            read_table(write(content, "t.csv"), "a")
        assert "\n" not in str(caught.value)
    pd.DataFrame({"a": [1, 2], "t": ["x", "y"]}).to_parquet(tmp_path / "unnamed.bin")
    assert read_table(tmp_path / "unnamed.bin", "t").rows == 2


def test_a_header_of_numbers_is_told_by_the_target(write: Write) -> None:
    years = write("2000,2001,2002\n.5,.6,.7\n.6,.7,.8\n.5,.9,1.1\n")
    assert read_table(years, "2002").named
    letters = write("T,2,8,3\nI,5,12,3\nD,4,11,6\nN,7,11,6\n")  # no header, though a cell is called like the target
    assert not read_table(letters, "2").named
    with pytest.raises(RequestError, match=r"column 3.5 is not in|column '3.5' is not in.*--set header=true"):
        read_table(write("1.5,2.5\n2.5,1\n3,4\n"), "3.5")


def test_rare_categories_share_a_feature(write: Write) -> None:
    words = [f"w{min(row % 40, 10)}" for row in range(400)]
    path = write("a,t\n" + "".join(f"{word},{row % 2}\n" for row, word in enumerate(words)))
    wide = prepare(read_table(path, "t"))
    assert len(wide.feature_names) == 11
    few = prepare(read_table(path, "t", most_categories=3))
    assert len(few.feature_names) == 4
    assert few.feature_names[-1] == "a: other"
    assert "a=w10" in few.feature_names
    assert few.x[0].sum(axis=1).tolist() == [1.0] * len(few.x[0])  # every word has a feature
    again = type(few.preprocessors[0]).from_json(few.preprocessors[0].to_json())
    known = few.feature_names[0].removeprefix("a=")
    new = again.transform_table(pd.DataFrame({"a": [known, "new", None]}))
    assert new.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_an_exported_preprocessor_reads_new_cells_as_the_old_ones(write: Write) -> None:
    rows = [f"2020-01-{1 + row % 28:02d};{row + 1},5;{10 * row}%;{'-+'[row % 2]};{row}" for row in range(30)]
    path = write("\n".join(["when;size;share;sign;t", *rows]))
    data = read_table(path, "t")
    prepared = prepare(data, split=(0.8, 0.2, 0))
    again = type(prepared.preprocessors[0]).from_json(prepared.preprocessors[0].to_json())
    raw = read_raw(path, text=again.text_columns)
    x = again.transform_table(raw)
    np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(prepared.x[0], axis=0))
    only_minus = pd.DataFrame({"when": ["2020-01-05"], "size": ["3,5"], "share": ["40%"], "sign": ["-"]})
    assert again.transform_table(only_minus)[0, again.feature_names.index("sign=-")] == 1
    with pytest.raises(RequestError, match=r"column 'when' holds 'soon' in row 0 .*: it must be a date in the format"):
        again.transform_table(only_minus.assign(when="soon"))
    with pytest.raises(
        RequestError, match=r"column 'size' holds 'big' in row 0 .*: it must be a number with decimal ','"
    ):
        again.transform_table(only_minus.assign(size="big"))


CELLS = st.sampled_from(
    [
        "",
        "1",
        "-2.5",
        "1e5",
        " 3",
        "4 ",
        "red",
        "a b",
        '"',
        'a"b',
        '""',
        "x,y",
        "l\nm",
        "NA",
        "-",
        "True",
        "#x",
        "0x1",
        "é",
        "1_0",
    ]
)


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6)
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_the_fast_reader_reads_what_the_careful_one_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: Any, delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    _compare(path, TableOptions(header=False, delimiter=delimiter))


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('a1,"\n #'), max_size=25))
def test_any_text_is_read_alike_or_refused_by_both_readers(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(text)
    _compare(path, TableOptions(header=False, delimiter=","))


def _compare(path: Path, options: TableOptions) -> None:
    found: list[Any] = []
    for careful in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if careful:
                patch.setattr(csvfile, "_is_regular", lambda raw, start, layout: False)
            try:
                table = csvfile.read_csv(path, options)
            except RequestError as error:
                found.append(str(error))
                continue
        columns = [make_column(name, cells) for name, cells in zip(table.names, table.cells, strict=True)]
        found.append([(col.kind, [None if v != v else v for v in col.values.tolist()]) for col in columns])
    assert found[0] == found[1]


def test_settings_can_be_pasted(write: Write) -> None:
    rows = itertools.count()
    text = "my name,b'c,t\n" + "".join(f"word {next(rows)},other {row},{row % 2}\n" for row in range(20)) + "u,v,0\n"
    with pytest.raises(RequestError) as caught:
        read_table(write(text), "t")
    assert re.search(r"--set 'keep=\[\"my name\", \"b'\"'\"'c\"\]' takes them in", str(caught.value))


def test_what_is_said_stays_one_line_that_can_be_read(write: Write) -> None:
    kinds = [lambda row: f"{row}%", lambda row: f"{row},{row % 10}", lambda row: f"$ {row}", lambda row: f"{row} km"]
    names = [f"c{number}" for number in range(40)]
    lines = [";".join([*(kinds[number % 4](row) for number in range(40)), "xy"[row % 2]]) for row in range(12)]
    data = read_table(write("\n".join([";".join([*names, "t"]), *lines])), "t")
    (line,) = how_read(data, prepare(data, split=(0.6, 0.4, 0)), 3)
    assert "'c0', 'c4', 'c8', 'c12', 'c16' and 5 more are read as numbers with '%'" in line
    assert line.endswith("; 1 more, in data.notes and sweep.toml; target 't' is taken as 2 classes (classification)")
