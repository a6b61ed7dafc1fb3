#!/usr/bin/env python3
"""Reads a log back that `simclr log` wrote, by lasio (pip install lasio).

usage: check_las.py DIR

DIR holds log.las, intervals.las and log.csv. Every interval of the table has to be among those of
the LAS files, and every step inside one has to have its class; steps in gaps have none. Of LAS 3
lasio reads the header alone: the lines of intervals are read here.
"""

import csv
import pathlib
import sys

import lasio


def ascii_name(name):
    """A class's name as LAS can hold it: ASCII, and without colons, which end a value."""
    return "".join(c if " " <= c <= "~" and c != ":" else "_" for c in name)


def intervals(path):
    """Top, bottom and class of each interval of the table; the class is empty in gaps."""
    with open(path, newline="") as file:
        return [
            (float(row["top_m"]), float(row["bottom_m"]), ascii_name(row["class"]))
            for row in csv.DictReader(file)
        ]


def check_intervals(path, expected):
    """That a file of LAS 3.0 has these intervals."""
    las = lasio.read(path, ignore_data=True, ignore_header_errors=False)
    assert float(las.version["VERS"].value) == 3.0, las.version
    definition = las.sections["Tops_Definition"]
    assert [item.mnemonic for item in definition] == ["TOPN", "TOPT", "TOPB", "CONF"], definition
    assert definition["TOPT"].unit == definition["TOPB"].unit == "M", definition
    data = path.read_text().split("~Tops_Data | Tops_Definition\n")[1]
    rows = list(csv.reader(data.splitlines()))
    assert len(rows) == len(expected), (len(rows), len(expected))
    for row, (top, bottom, name) in zip(rows, expected):
        assert row[0] == name.replace(",", "_").replace('"', "_"), (row, name)
        assert abs(float(row[1]) - top) < 1e-3 and abs(float(row[2]) - bottom) < 1e-3, row
    assert float(las.well["STRT"].value) <= expected[0][0] + 1e-3, las.well
    assert float(las.well["STOP"].value) >= expected[-1][1] - 1e-3, las.well


def main():
    directory = pathlib.Path(sys.argv[1])
    las = lasio.read(directory / "log.las", ignore_header_errors=False)
    table = intervals(directory / "log.csv")
    assert float(las.version["VERS"].value) == 2.0, las.version
    assert las.index_unit == "M", las.index_unit
    curves = [curve.mnemonic for curve in las.curves]
    assert curves[:3] == ["DEPT", "CLASS", "CONF"], curves
    classes = {
        float(item.mnemonic[1:]): str(item.value) for item in las.params
    }
    assert len(curves) == 3 + len(classes), (curves, classes)

    depths, step = las.index, float(las.well["STEP"].value)
    assert abs(depths[0] - float(las.well["STRT"].value)) < 1e-6
    assert abs(depths[-1] - float(las.well["STOP"].value)) < 1e-6
    assert all(abs(b - a - step) < 1e-3 for a, b in zip(depths, depths[1:]))
    checked = 0
    for depth, number in zip(depths, las["CLASS"]):
        inside = [name for top, bottom, name in table if top + step < depth < bottom - step]
        if inside:
            # What lasio reads as NaN is LAS's null value.
            found = "" if number != number else classes[number]
            assert found == inside[0], (depth, found, inside[0])
            checked += 1
    assert checked > len(depths) / 2, f"{checked} of {len(depths)} steps lie inside an interval"
    probabilities = [las[mnemonic] for mnemonic in curves[3:]]
    for row in zip(las["CLASS"], las["CONF"], *probabilities):
        if row[0] == row[0]:
            number, confidence, *shares = row
            assert abs(sum(shares) - 1) < 1e-3, row
            assert abs(shares[int(number) - 1] - confidence) < 1e-3, row

    beds = [line for line in las.sections["Other"].splitlines()[1:] if line.strip()]
    with_class = [bed for bed in table if bed[2]]
    assert len(beds) == len(with_class), (len(beds), len(with_class))
    for line, (top, bottom, name) in zip(beds, with_class):
        first, second, rest = line.split(maxsplit=2)
        assert abs(float(first) - top) < 1e-3 and abs(float(second) - bottom) < 1e-3, line
        assert rest.rsplit(maxsplit=1)[0] == name, line
    check_intervals(directory / "intervals.las", with_class)
    print(f"{directory}: {len(depths)} steps, {len(beds)} intervals, {len(classes)} classes read back")


if __name__ == "__main__":
    main()
