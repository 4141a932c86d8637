"""The readers there are in this installation, by name. Called by `alone` and `profile`."""

from importlib.util import find_spec

from router.xmpp.reader import pure


def readers() -> dict[str, type[pure.Reader]]:
    """The pure one, and the compiled one where it was built."""
    found = {"pure": pure.Reader}
    if find_spec("router.xmpp.reader._scan") is not None:
        from router.xmpp.reader import compiled

        found["compiled"] = compiled.Reader
    return found
