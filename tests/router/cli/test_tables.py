"""Tables in a pipe."""

import pytest

from router.cli.tables import print_table


def test_columns_line_up_and_nothing_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"Name": False, "Count": True}, [["[bold]a[/bold]", "1"], ["b", "23"]], "none")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Name            Count", "[bold]a[/bold]      1", "b                  23"]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"Name": False}, [], "none at all")
    assert capsys.readouterr().out == "none at all\n"
