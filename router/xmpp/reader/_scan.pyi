from collections.abc import Callable

MAX_NEEDLES: int

class Scanner:
    def __init__(
        self,
        needles: tuple[bytes, ...],
        senders: dict[str, str],
        targets: dict[str, str],
        judge_sender: Callable[[str], str | None],
        judge_target: Callable[[str], str | None],
    ) -> None: ...
    def limit(
        self,
        max_stanza_bytes: int,
        max_depth: int,
        max_attributes: int,
        max_namespaces: int,
        max_elements: int,
        /,
    ) -> None: ...
    def scan(
        self, octets: bytes, begin: int, /
    ) -> tuple[int, bool, list[tuple[int, int, str, str, int, int, int]]]: ...
