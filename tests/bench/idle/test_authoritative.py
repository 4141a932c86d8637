"""What the authoritative server of the benchmark says to questions about keys."""

import re

from bench.idle.authoritative import answer


def test_every_key_is_valid_and_the_answer_turns_the_addresses_round() -> None:
    asked = b"<db:verify from='montague.lit' to='r1.capulet.lit' id='x&amp;1'>key</db:verify>"
    said, rest = answer(asked + b"<db:res")
    assert rest == b"<db:res"
    assert re.findall(rb"(\w+)=\"([^\"]*)\"", said) == [
        (b"from", b"r1.capulet.lit"),
        (b"to", b"montague.lit"),
        (b"id", b"x&amp;1"),
        (b"type", b"valid"),
    ]


def test_all_that_is_complete_is_answered_in_order() -> None:
    asked = b"".join(
        f"<db:{name} from='montague.lit' to='r{n}.lit'>key</db:{name}>".encode()
        for n, name in enumerate(("result", "verify"))
    )
    said, rest = answer(asked)
    assert re.findall(rb"<db:(\w+) from=\"(\S+)\"", said) == [
        (b"result", b"r0.lit"),
        (b"verify", b"r1.lit"),
    ]
    assert rest == b""
