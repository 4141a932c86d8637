"""What may be seen of a policy."""

from tests.support.pump import MONTAGUE, policy


def test_the_dialback_secret_is_not_in_the_text_of_a_policy() -> None:
    settings = policy(MONTAGUE, secret=b"do not tell")
    assert "do not tell" not in repr(settings)
    assert MONTAGUE in repr(settings)
