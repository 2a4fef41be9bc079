"""Columns of files: how they are written is found out and told, and what cannot be read keeps its place."""

import io
from pathlib import Path

import pytest
from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.delimited import MAX_ROW_LINES, Dialect
from online_lstm.backtest.input_files import Line, open_input
from online_lstm.codec.cell_text import Markers
from online_lstm.errors import InputFileError

MARKERS = Markers(["NA", "N/A", "?", "-", "unknown", "-200"])


class Read:
    """What came of a file: its lines, and what was told."""

    def __init__(self, content: bytes, *columns: str, numbers: bool = True, dialect: Dialect | None = None, **of: str):
        self.told: list[str] = []
        self.lines = list(
            read_columns(
                io.BytesIO(content),
                "pumps.csv",
                columns=columns,
                markers=MARKERS if numbers else None,
                dialect=dialect,
                notify=self.told.append,
                **{f"{name}_column": column for name, column in of.items()},
            )
        )

    @property
    def values(self) -> list[bytes]:
        return [line.value for line in self.lines]

    @property
    def times(self) -> list[int]:
        return [line.timestamp_ms for line in self.lines]


def refusal(*arguments: object, **options: object) -> str:
    with pytest.raises(InputFileError) as raised:
        Read(*arguments, **options)  # type: ignore[arg-type]
    return str(raised.value)


def test_columns_have_values_keys_and_line_numbers() -> None:
    """Quoted line breaks and blank lines count as lines; a row that is too short has an empty value."""
    content = b'\xef\xbb\xbfkey,value\r\na,4\r\n\r\nb,"5\r\n"\r\nc\r\n'
    read = Read(content, "value", key="key", numbers=False)
    assert [Line(1, b"4", b"a"), Line(3, b"5\r\n", b"b"), Line(5, b"", b"c")] == read.lines
    assert ["pumps.csv: of 3 rows 1 of another length than the header, taken without values"] == [
        told.partition(" (")[0] for told in read.told
    ]


def test_the_only_column_beside_the_keys_has_the_values() -> None:
    """``--column`` is for when there is a choice."""
    assert [Line(1, b"4", b"a")] == Read(b"key,value\na,4\n", key="key").lines
    assert [Line(1, b"4")] == Read(b"value\n4\n").lines
    assert [] == Read(b"").lines == Read(b"value\n").lines


def test_several_columns_are_vectors() -> None:
    """In the order they are asked for, numbers as they were written."""
    assert [b"[2, 1.50]", b"[3, null]"] == Read(b"key,a,b\nx,1.50,2\nx,, 3 \n", "b", "a", key="key").values


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (b"a,b\n1,2\n", "c", "no column 'c'; expected one of a, b"),
        (b"a,b\n1,2\n", None, "received the columns a, b; expected --column with the name"),
        (b"a,b,a\n1,2,3\n", "a", "received 2 columns 'a', expected one: rename them"),
        (b"a\nx\n4\ny\n", "a", "most cells of a are no numbers (the first in line 2: 'x'); the way out is --column"),
        (b"a\n12 km/h\n5%\n", "a", "most cells of a are no numbers (the first in line 2: '12 km/h')"),
        (b"a,b\nNA,1\n?,1\n", "a", "every number of a is missing"),
        (b"a,b\n1\n2\n3,4\n", "b", "most rows are of another length than the header (the first in line 2: 1 cells"),
    ],
)
def test_what_is_no_csv_with_that_column_is_refused(content: bytes, column: str | None, message: str) -> None:
    """The message says what was found, what was expected and which option helps."""
    assert message in refusal(content, *([column] if column else []))


def test_a_file_may_be_closed_before_its_rows_are_given_up(tmp_path: Path) -> None:
    """Whoever stops early needs no order; Python would complain of an exception that it has to ignore."""
    (tmp_path / "pumps.csv").write_bytes(b"value\n4\n8\n")
    with open_input(str(tmp_path / "pumps.csv")) as file:
        rows = read_columns(file, "pumps.csv", key_column=None)
        assert Line(1, b"4") == next(rows)
    rows.close()  # type: ignore[attr-defined]


def test_a_file_that_can_be_read_once_is_read_as_any_other() -> None:
    """A pipe has the same rows as a file."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("not seekable")

    lines = read_columns(Pipe(b"a;b\n1,5;2\n2,5;3\n"), "-", columns=["a"], markers=MARKERS)
    assert [b"1.5", b"2.5"] == [line.value for line in lines]


def test_each_marker_of_a_missing_number_keeps_its_place() -> None:
    """However it is written, a blank line too, and a number that the settings name."""
    read = Read(b"value\n1.0\nNA\n3.0\nNaN\n?\n-\nunknown\n\n-200\n-200.0\n4\n\n\n")
    assert [b"1.0", b"[null]", b"3.0", *[b"[null]"] * 7, b"4"] == read.values
    assert ["pumps.csv: of 11 rows 8 without value"] == read.told
    assert [b"[1.0, null]", b"[null, 3]"] == Read(b"a,b\n1.0,NA\nnan,3\n", "a", "b").values


def test_of_symbols_a_cell_is_what_it_is() -> None:
    """A blank cell is refused by the codec, as the text of a marker without quotes is."""
    assert [b"4", b"", b" ", b"NA"] == Read(b"t,v\n1,4\n2,\n3, \n4,NA\n", "v", numbers=False).values


def test_a_cell_that_is_no_number_is_missing_and_told() -> None:
    """Words, infinities, units: they lose neither the row nor its place."""
    read = Read(b"a,b\n1,2\nx,3\ninf,4\n5%,5\n6,6\n7,7\n8,8\n", "a", "b")
    assert [b"[1, 2]", b"[null, 3]", b"[null, 4]", b"[null, 5]"] == read.values[:4]
    assert ["pumps.csv: of 7 rows 3 whose a is no number, taken as missing (the first in line 3: 'x')"] == read.told


@pytest.mark.parametrize(
    ("content", "values", "told"),
    [
        (
            b"t;p;f\r\n1;0,054711;32,0\r\n2;0,4;33;;\r\n",
            [b"0.054711", b"0.4"],
            "separator ';', numbers with decimal ','",
        ),
        (b"t\tp\n1\t4\n2\t5\n", [b"4", b"5"], r"separator '\t'"),
        (b"t|p, in bar\n1|4\n2|5\n", [b"4", b"5"], "separator '|'"),
        (b'p\n"1,234"\n987\n"12,345"\n', [b"1234", b"987", b"12345"], "numbers with decimal '.', thousands ','"),
        (b'p\n"1,234"\n"0,5"\n', [b"1.234", b"0.5"], "numbers with decimal ','"),
        (
            b"t;p\n1;1.234,5\n2;1.234.567,25\n",
            [b"1234.5", b"1234567.25"],
            "separator ';', numbers with decimal ',', thousands '.'",
        ),
        (
            "t;p\n1;1 234,5\n2;12\u00a0345,6\n".encode(),
            [b"1234.5", b"12345.6"],
            "separator ';', numbers with decimal ',', thousands ' '",
        ),
        (b"t;p\n1;1.234\n2;5.678\n", [b"1.234", b"5.678"], "separator ';'"),
    ],
)
def test_separators_are_found_and_told(content: bytes, values: list[bytes], told: str) -> None:
    """Of cells, of decimals and of thousands; separators at the end of a line are no cells."""
    column = "p, in bar" if b"p, in" in content else "p"
    read = Read(content, column)
    assert values == read.values
    assert [f"pumps.csv: read as: {told}"] == read.told


def test_thousands_are_not_half_read_by_symbols() -> None:
    """A count above a thousand is a number as one below is."""
    assert [b"1234", b"987"] == Read(b'p\n"1,234"\n987\n', numbers=False).values


def test_what_can_be_two_numbers_is_asked_for() -> None:
    """1,234 between semicolons is one and a bit, or more than a thousand."""
    content = b"t;p\n1;1,234\n2;5,678\n"
    said = refusal(content, "p")
    assert "'1,234': decimal ',', or decimal '.', thousands ','); the way out is --decimal or --thousands" in said
    assert [b"1.234", b"5.678"] == Read(content, "p", dialect=Dialect(decimal=",")).values
    read = Read(content, "p", dialect=Dialect(separator=";", thousands=","))
    assert ([b"1234", b"5678"], []) == (read.values, read.told)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ('2,"stray,5', b"5"),
        ('2,"stray, and a comma,5', b"[null]"),
        ('2,5" pipe,5', b"5"),
        ('2,"5" pipe,5', b"5"),
        ('2,"a ""b"" c",5', b"5"),
        ('2,"two\nlines, and a comma",5', b"5"),
        (f"2,{'x' * 140_000},5", b"5"),
        (f'2,"{"x" * 140_000}",5', b"5"),
    ],
)
def test_a_fault_in_an_unused_cell_costs_its_row_at_most(row: str, value: bytes) -> None:
    """The rows after a stray quote are read, at their lines; a long cell is no fault at all."""
    after = [f"{number},x,{number}" for number in range(3, 3 + 2 * MAX_ROW_LINES)]
    read = Read("\n".join(["t,note,v", "1,x,4", row, *after]).encode(), "v")
    assert [b"4", value, b"3", b"4"] == read.values[:4]
    assert 2 + 2 * MAX_ROW_LINES == len(read.lines)
    assert 3 + row.count("\n") == read.lines[2].number
    told = [told.partition(" (the first in ")[2] for told in read.told]
    assert (["line 3: 4 cells, the header has 3)"] if value == b"[null]" else []) == told


def test_a_row_of_another_length_keeps_its_place() -> None:
    """What its cells mean is not known: neither a neighbour nor half of a number is learned for the value."""
    read = Read(b"key,v,w\na,1,10\na,2,x,20\na,3\nb,4,40\nb,5,50\n", "w", key="key")
    assert [(b"10", b"a"), (b"[null]", b"a"), (b"[null]", b"a"), (b"40", b"b"), (b"50", b"b")] == [
        (line.value, line.key) for line in read.lines
    ]
    assert "2 of another length than the header, taken without values (the first in line 3: 4 cells" in read.told[0]


def test_names_of_rows_are_not_taken_for_a_column() -> None:
    """As R writes them: the header has one cell less, and each value is that of its own column."""
    read = Read(b'"speed","dist"\n"1",4,2\n"2",7,22\n', "speed")
    assert ([b"4", b"7"], ["pumps.csv: read as: rows begin with their name"]) == (read.values, read.told)


def test_comments_and_repeated_headers_are_no_rows() -> None:
    """Nor are lines of separators at the end."""
    content = b"# pump 7\n\n t , v ,\n1,4\n# moved\nt,v\n2,5\n,,\n,,\n"
    read = Read(content, "v", time="t", dialect=Dialect(time_format="s"))
    assert [(3, b"4", 1000), (6, b"5", 2000)] == [(line.number, line.value, line.timestamp_ms) for line in read.lines]
    assert [] == read.told


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8", None), ("utf-8-sig", None), ("latin-1", "encoding cp1252"), ("utf-16", "encoding utf-16")],
)
def test_encodings_are_found_and_told(encoding: str, told: str | None) -> None:
    """By the mark at the start, or as what is no UTF-8."""
    read = Read("größe,key\n4,Köln\n5,Kehl\n".encode(encoding), "größe", key="key")
    assert [Line(1, b"4", "Köln".encode()), Line(2, b"5", b"Kehl")] == read.lines
    assert ([] if told is None else [f"pumps.csv: read as: {told}"]) == read.told
    given = Read("größe\n4\n".encode("utf-16-le"), "größe", dialect=Dialect(encoding="utf-16-le"))
    assert ([b"4"], []) == (given.values, given.told)


DAY = 86_400_000
JANUARY_2020 = 18_262 * DAY


@pytest.mark.parametrize(
    ("cells", "times", "form"),
    [
        (["1577836800", "1577836801.5"], [JANUARY_2020, JANUARY_2020 + 1500], "epoch s"),
        (["1577836800000", "1577836800001"], [JANUARY_2020, JANUARY_2020 + 1], "epoch ms"),
        (["1577836800000000"], [JANUARY_2020], "epoch us"),
        (["1577836800000000000"], [JANUARY_2020], "epoch ns"),
        (["2020-01-01", "2020-01-02T00:00:00+01:00"], [JANUARY_2020, JANUARY_2020 + 23 * 3_600_000], "ISO 8601"),
        (["2020-01-01 00:00 UTC"], [JANUARY_2020], "ISO 8601"),
        (["2020/1/1 0:00", "2020/1/1 24:00"], [JANUARY_2020, JANUARY_2020 + DAY], "%Y/%m/%d"),
        (["2020.01.01 00:00:01"], [JANUARY_2020 + 1000], "%Y.%m.%d"),
        (["01/01/2020", "13/01/2020 6:30 pm"], [JANUARY_2020, JANUARY_2020 + 12 * DAY + 66_600_000], "%d/%m/%Y"),
        (["1/1/20 12:00 AM", "1/13/20"], [JANUARY_2020, JANUARY_2020 + 12 * DAY], "%m/%d/%y"),
        (["01.02.2020"], [JANUARY_2020 + 31 * DAY], "%d.%m.%Y"),
        (["20200101", "20200102"], [JANUARY_2020, JANUARY_2020 + DAY], "%Y%m%d"),
        (["20200101000001"], [JANUARY_2020 + 1000], "%Y%m%d%H%M%S"),
        (["01-Jan-2020", "02-Jan-2020"], [JANUARY_2020, JANUARY_2020 + DAY], "%d-%b-%Y"),
        (["2020-01", "2020-02"], [JANUARY_2020, JANUARY_2020 + 31 * DAY], "%Y-%m"),
    ],
)
def test_times_are_read_by_their_form_which_is_told(cells: list[str], times: list[int], form: str) -> None:
    """One form for all of them, decided before the first one is read."""
    content = "v;t\n" + "".join(f"4;{cell}\n" for cell in cells)
    read = Read(content.encode(), "v", time="t")
    assert times == read.times
    assert [f"pumps.csv: read as: separator ';', times as {form}"] == read.told


def test_a_time_that_is_not_read_is_none_and_told() -> None:
    """Its value keeps its place; a blank one is no fault."""
    read = Read(b"v,t\n1,2020-01-01\n2,T\n3,\n4,2020-01-04\n", "v", time="t")
    assert [JANUARY_2020, -1, -1, JANUARY_2020 + 3 * DAY] == read.times
    assert ["pumps.csv: of 4 rows 1 whose time is not read (the first in line 3: 'T')"] == read.told[1:]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["01/02/2020", "03/02/2020"], "times can be read in two ways ('01/02/2020': %d/%m/%Y, or %m/%d/%Y)"),
        (["2014040112", "2014040113"], "times can be read in two ways ('2014040112': %Y%m%d%H, or epoch s)"),
        (["yesterday", "today", "2020-01-01"], "most times are not read as times since 1970 of one form (the first"),
        (["0", "1", "2"], "(the first in line 2: '0'); the way out is --time-format (s, ms, us, ns, iso, or a"),
        (["1949-01", "1949-02"], "most times are not read as times since 1970"),
    ],
)
def test_times_that_cannot_be_read_in_one_way_are_refused(cells: list[str], message: str) -> None:
    """With one of them, and the option that says how they are written."""
    said = refusal(("v,t\n" + "".join(f"4,{cell}\n" for cell in cells)).encode(), "v", time="t")
    assert message in said
    assert "--time-format" in said


@pytest.mark.parametrize(
    ("form", "cell", "time"),
    [
        ("%m/%d/%Y", "01/02/2020", JANUARY_2020 + DAY),
        ("ms", "2000", 2000),
        ("%H:%M %d.%m.%y", "00:01 01.01.20", JANUARY_2020 + 60_000),
    ],
)
def test_the_form_of_times_may_be_given(form: str, cell: str, time: int) -> None:
    """Then nothing is found out, and nothing told."""
    read = Read(f"v,t\n4,{cell}\n".encode(), "v", time="t", dialect=Dialect(time_format=form))
    assert ([time], []) == (read.times, read.told)


@pytest.mark.parametrize(("cell", "label"), [("NaN", None), ("", None), ("?", None), ("up", "up"), (".5", ".5")])
def test_a_missing_label_is_none(cell: str, label: str | None) -> None:
    """The sample beside it is read."""
    read = Read(f"k,v,kind\na,2,up\na,NA,{cell}\n".encode(), "v", key="k", label="kind")
    assert [("up", b"2"), (label, b"[null]")] == [(line.label, line.value) for line in read.lines]


def test_a_column_without_any_label_is_refused() -> None:
    """Nothing could be learned from it."""
    assert "every label is missing; the way out is --label-column" in refusal(
        b"k,v,kind\na,2,NaN\n", "v", key="k", label="kind"
    )
