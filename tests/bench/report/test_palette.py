"""A server has the same colour in every plot; whatever else there is does not take it."""

from bench.report import palette
from bench.report.palette import BLUE, ORANGE, PURPLE, SKY, colours


def test_a_server_has_its_own_colour_whatever_is_beside_it() -> None:
    assert colours(["ejabberd", "causeway"]) == {"ejabberd": PURPLE, "causeway": BLUE}
    assert colours(["anything", "prosody", "causeway"])["prosody"] is ORANGE


def test_a_second_configuration_of_a_server_has_a_shade_of_its_own() -> None:
    found = colours(["causeway-pure", "causeway", "prosody p99"])
    assert found["causeway"] is BLUE
    assert found["causeway-pure"] is SKY
    assert found["prosody p99"] is ORANGE


def test_others_differ_as_long_as_there_are_colours() -> None:
    names = [f"stage {number}" for number in range(7)]
    assert len(set(colours(names).values())) == 7
    assert len(colours([*names, "stage 7"])) == 8


def test_both_schemes_define_every_variable_that_a_plot_uses() -> None:
    light, _, dark = palette.style_sheet().partition("@media")
    for shade in (*colours("abcdefg").values(), palette.INK, palette.PANEL, palette.ON_PALE):
        assert f"--{shade.name}:{shade.light};" in light
        assert f"--{shade.name}:{shade.dark};" in dark
        assert palette.with_variables(f"fill: {shade.light}") == (
            f"fill: var(--{shade.name},{shade.light})"
        )
