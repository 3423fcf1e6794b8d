"""Files of samples: what is read, and how a mistake is named."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.files import SampleFile
from softlaunch.forecast.replay.reading import observed_split, read_rows
from softlaunch.forecast.replay.rows import Rows, SamplesError, joined
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.policy.gating import Adjustment
from tests.support.builders import make_policy

NAMES = StageNames(make_policy())
STAGE = NAMES.by_name("canary 50 %")
HEADER = "ts,arm,unit,ok,latency_ms,cost_usd,quality,satisfaction,hallucination"
LINE = "1772366400,stable,anna,1,800,1e-5,0.9,1,false"


def read(path: Path, *, by_column: bool = False) -> Rows:
    """All rows of a file that are of one stage."""
    return joined(list(read_rows(SampleFile.at(path), NAMES if by_column else STAGE)))


def written(folder: Path, *lines: str, name: str = "samples.csv") -> Path:
    """A file of these lines."""
    path = folder / name
    text = "\n".join(lines) + "\n"
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["samples.csv", "samples.csv.gz", "samples.parquet"])
def test_every_format_says_the_same(tmp_path: Path, name: str) -> None:
    """Texts, numbers and what is missing mean the same in CSV, compressed or not, and in Parquet."""
    columns: dict[str, list[Any]] = {
        "ts": [1772366400.25, 1772366401.0],
        "arm": ["stable", "candidate"],
        "unit": [17, None],
        "ok": [True, False],
        "latency_ms": [800.5, None],
        "satisfaction": [None, 0.25],
    }
    if name.endswith("parquet"):
        path = tmp_path / name
        pd.DataFrame(columns).to_parquet(path)
    else:
        path = written(
            tmp_path, ",".join(columns), "1772366400.25,stable,17,True,800.5,", "1772366401,candidate,,0,NaN,0.25"
        )
    rows = read(path)
    assert rows.ts.tolist() == [1772366400.25, 1772366401.0]
    assert rows.candidate.tolist() == [False, True]
    assert rows.named.tolist() == [True, False]
    assert rows.units[0] == read(written(tmp_path, "ts,arm,unit", "1,stable,17", name="one.csv")).units[0]
    assert set(rows.values) == {Metric.ERRORS, Metric.LATENCY, Metric.SATISFACTION}
    assert rows.values[Metric.ERRORS].tolist() == [0.0, 1.0]
    np.testing.assert_equal(rows.values[Metric.LATENCY], [800.5, np.nan])
    np.testing.assert_equal(rows.values[Metric.SATISFACTION], [np.nan, 0.25])


def test_what_was_known_before_an_answer_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    """Elsewhere the column means nothing, whatever it holds."""
    path = written(tmp_path, "ts,arm,request_size,streamed", "1,stable,812,true", "2,candidate,,f")
    file = SampleFile.at(path, {Adjustment.REQUEST_SIZE, Adjustment.OWN_PAST})
    (rows,) = read_rows(file, STAGE)
    assert list(rows.covariates) == [Adjustment.REQUEST_SIZE]
    np.testing.assert_equal(rows.covariates[Adjustment.REQUEST_SIZE], [812.0, np.nan])
    assert file.ignored == ("streamed",)
    with pytest.raises(SamplesError, match="row 2, column streamed: it is 'f'; expected true or false"):
        list(read_rows(SampleFile.at(path, {Adjustment.STREAMED}), STAGE))
    assert not read(path).covariates
    assert SampleFile.at(path).ignored == ("request_size", "streamed")


def test_what_a_file_cannot_tell_is_said(tmp_path: Path) -> None:
    """A gate that is adjusted for nothing judges all the same, and whoever asked for it should know."""
    path = written(tmp_path, "ts,arm,request_size", "1,stable,812")
    assert SampleFile.at(path, {Adjustment.REQUEST_SIZE}).notes == ()
    assert SampleFile.at(path, {*Adjustment}).notes == (
        "what the same users did before the release isn't in the file, so gates weren't adjusted for own_past",
        "there is no column streamed, so gates weren't adjusted for it",
    )


@pytest.mark.parametrize(
    "written_time",
    [
        "1772366400",
        "1772366400.0",
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00",
        "2026-03-01T12:00:00.000000",
        "2026-03-01T14:00:00+02:00",
        " 2026-03-01T12:00:00+0000",
    ],
)
def test_times_are_seconds_or_iso_8601(tmp_path: Path, written_time: str) -> None:
    """All of these are noon of the first of March; a time without a zone is UTC."""
    assert read(written(tmp_path, "ts,arm", f"{written_time},stable")).ts.tolist() == [1772366400.0]


def test_parquet_times_may_have_their_own_type(tmp_path: Path) -> None:
    """With a zone or without."""
    for zone in ("UTC", "Europe/Berlin", None):
        moment = pd.Timestamp("2026-03-01T12:00:00Z").tz_convert(zone)
        pd.DataFrame({"ts": [moment], "arm": ["stable"]}).to_parquet(tmp_path / "samples.parquet")
        assert read(tmp_path / "samples.parquet").ts.tolist() == [1772366400.0]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        pytest.param("arm", "control", "it is 'control'; expected stable or candidate", id="unknown arm"),
        pytest.param("arm", "", "it is nothing; expected stable or candidate", id="no arm"),
        pytest.param("ts", "yesterday", "it is 'yesterday'; expected epoch seconds or ISO 8601", id="no time"),
        pytest.param("ts", "", "it is nothing; expected epoch seconds", id="empty time"),
        pytest.param("ts", "1772366400000", "looks like milliseconds", id="milliseconds"),
        pytest.param("ok", "maybe", "it is 'maybe'; expected true or false, 1 or 0", id="neither ok nor not"),
        pytest.param("latency_ms", "-3", "it is '-3'; expected milliseconds, 0 or more", id="negative latency"),
        pytest.param("latency_ms", "fast", "it is 'fast'; expected milliseconds", id="text for a number"),
        pytest.param("latency_ms", "inf", "it is 'inf'; expected milliseconds", id="infinite latency"),
        pytest.param("cost_usd", "$1", "it is '$1'; expected US dollars, 0 or more", id="a currency sign"),
        pytest.param("quality", "85", "it is '85'; expected a number from 0 to 1", id="quality in percent"),
        pytest.param("satisfaction", "4", "it is '4'; expected a number from 0 to 1; stars", id="stars"),
        pytest.param("hallucination", "0.5", "it is '0.5'; expected true or false", id="half a hallucination"),
    ],
)
def test_a_wrong_value_is_named_with_row_and_column(tmp_path: Path, column: str, value: str, said: str) -> None:
    """File, row (the header isn't one), column, value and what was expected."""
    cells = LINE.split(",")
    cells[HEADER.split(",").index(column)] = value
    path = written(tmp_path, HEADER, *[LINE] * 40, ",".join(cells), *[LINE] * 40)
    with pytest.raises(SamplesError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}, row 41, column {column}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["ts,arm,latency", "1,stable,3"], "unknown column 'latency'; is it latency_ms?", id="short"),
        pytest.param(["ts,arm,Units", "1,stable,u"], "unknown column 'Units'; is it unit?", id="a typo"),
        pytest.param(["ts,ok", "1,1"], "there is no column arm", id="no arm"),
        pytest.param(["ts,arm,ts", "1,stable,1"], "column ts is there twice", id="twice"),
        pytest.param(["ts,arm", "1,stable", "2"], "Row #3: Expected 2 columns, got 1", id="a torn line"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(SamplesError) as error:
        read(written(tmp_path, *lines))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("samples.csv", None, "can't be read: there is no such file", id="missing"),
        pytest.param("samples.csv", b"", "is empty; expected a header", id="empty"),
        pytest.param("samples.csv.gz", b"ts,arm", "can't be read", id="not compressed"),
        pytest.param("samples.parquet", b"ts,arm", "can't be read", id="no Parquet"),
        pytest.param("samples.txt", b"ts,arm", "expected a file whose name ends in .csv", id="another kind"),
    ],
)
def test_what_is_no_file_of_samples_is_refused(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    """The message names the file."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SamplesError) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert said in str(error.value)


def test_rows_far_into_a_file_keep_their_number(tmp_path: Path) -> None:
    """Numbers go on from stretch to stretch."""
    path = written(tmp_path, "ts,arm,latency_ms", *["1772366400,stable,800.25"] * 200_000, "1772366400,stable,-1")
    with pytest.raises(SamplesError, match="row 200001, column latency_ms"):
        read(path)


def test_stages_are_found_by_name_position_or_weight(tmp_path: Path) -> None:
    """Stretches are split where they change; zero is no stage."""
    names = ("shadow", "1", "canary 10 %", "10%", "2", "Canary 50%", "canary_50")
    path = written(tmp_path, "ts,arm,stage", *(f"1,stable,{name}" for name in names))
    stages = [rows.stage for rows in read_rows(SampleFile.at(path), NAMES)]
    found = ["shadow"] * 2 + ["canary 10 %"] * 3 + ["canary 50 %"] * 2
    assert [stage.name for stage in stages if stage] == found
    path = written(tmp_path, "ts,arm,weight_percent", *(f"1,stable,{weight}" for weight in ("0", "10.0", "20", "100")))
    weighed = [rows.stage for rows in read_rows(SampleFile.at(path), NAMES)]
    assert [stage and (stage.name, stage.margin_factor) for stage in weighed] == [
        None,
        ("canary 10 %", 1.0),
        ("canary 20 %", 2.0),
        ("canary 100 %", 1.0),
    ]


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        pytest.param("stage", "nope", "column stage: it is 'nope'; expected a stage of the policy", id="no such stage"),
        pytest.param("weight_percent", "101", "column weight_percent: it is '101'; expected", id="too much"),
        pytest.param("weight_percent", "all", "it is 'all'; expected the candidate's share", id="no number"),
        pytest.param("weight_percent", "", "it is nothing; expected a stage or a weight", id="missing"),
        pytest.param("stage,weight_percent", "shadow,5", "column weight_percent: it is '5'; expected 0", id="at odds"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(tmp_path: Path, header: str, cells: str, said: str) -> None:
    """The message names row and column."""
    with pytest.raises(SamplesError) as error:
        read(written(tmp_path, f"ts,arm,{header}", f"1,stable,{cells}"), by_column=True)
    assert ", row 1, column " in str(error.value)
    assert said in str(error.value)


def test_the_observed_split_counts_units(tmp_path: Path) -> None:
    """A user who asks a lot is one unit."""
    lines = [
        f"1,{'candidate' if unit < 3 else 'stable'},u{unit}" for unit in range(10) for _ in range(1 + 9 * (unit == 0))
    ]
    path = written(tmp_path, "ts,arm,unit", *lines)
    split = observed_split(SampleFile.at(path))
    assert (split.candidate, split.stable) == (3, 7)
    assert split.percent == pytest.approx(30)
    assert observed_split(SampleFile.at(written(tmp_path, "ts,arm", "1,stable"))).percent is None


def test_columns_of_another_meaning_are_ignored(tmp_path: Path) -> None:
    """And told, so that nobody takes them for judged."""
    file = SampleFile.at(written(tmp_path, "ts,arm,request_id,country", "1,stable,r1,DE"))
    assert file.ignored == ("request_id", "country")
    assert sum(len(rows) for rows in read_rows(file, NAMES.by_name("canary 50 %"))) == 1


@pytest.mark.parametrize(
    ("candidate", "stable", "name"),
    [
        pytest.param(505, 495, "canary 50 %", id="a planned split"),
        pytest.param(9, 111, "canary 10 %", id="another one, on few units"),
        pytest.param(300, 700, "canary 30 %", id="a split that isn't planned"),
        pytest.param(0, 700, "canary 10 %", id="nobody on the candidate"),
        pytest.param(0, 0, "canary 10 %", id="nobody at all"),
    ],
)
def test_a_file_without_stages_is_taken_for_the_one_it_agrees_with(candidate: int, stable: int, name: str) -> None:
    """The planned one that chance explains, else the share that was seen."""
    assert NAMES.by_split(candidate, stable).name == name


def test_the_only_split_of_a_policy_is_the_one_that_was_meant() -> None:
    """So that a file whose split is off is found out."""
    names = StageNames(make_policy(stages=[{"weight_percent": 50}, {"weight_percent": 100}]))
    assert names.by_split(300, 700).name == "canary 50 %"
    assert StageNames(make_policy(stages=[{"weight_percent": 100}])).by_split(500, 500).name == "canary 50 %"
