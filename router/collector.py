"""How often Python's collector looks for cycles in the processes that carry traffic.

Called by acceptors and workers at their start.
"""

import gc
from typing import Final

# The three thresholds. A stream is some hundred objects that live long, a pair a dozen: at Python's
# own (700, 10, 10) each is looked at again and again while streams are set up. What is over needs
# no collector: it holds no cycles.
_COLLECT_AFTER: Final = (20_000, 10, 10)


def settle() -> None:
    """Modules and configuration stay: no need to look at them again; at the rest, seldom."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
