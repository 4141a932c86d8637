"""Progress: a bar on a terminal, plain lines elsewhere."""

import io

from rich.console import Console

from bench.progress import Steps


def said(is_terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=is_terminal, color_system=None)
    with Steps("core", 2, console) as steps:
        steps.next("the reader [pure]")
        steps.say("done with it")
        steps.next("the lanes")
        steps.next("one more than expected")
    return out.getvalue()


def test_elsewhere_each_step_is_a_line() -> None:
    assert said(is_terminal=False).splitlines() == [
        "core 1/2: the reader [pure]",
        "done with it",
        "core 2/2: the lanes",
        "core 2/2: one more than expected",
    ]


def test_on_a_terminal_the_bar_goes_and_the_words_stay() -> None:
    shown = said(is_terminal=True)
    assert "done with it" in shown
    assert "2/2" in shown


def test_steps_may_also_be_counted_apart() -> None:
    out = io.StringIO()
    with Steps("idle", 10, Console(file=out, width=100)) as steps:
        steps.now("streams")
        steps.done(5)
        steps.now("more streams")
    assert out.getvalue().splitlines() == ["idle 1/10: streams", "idle 6/10: more streams"]
