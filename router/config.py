"""The configuration as values: one frozen dataclass per table, every default, unit and range.

Standard library only, since every role process reads the supervisor's snapshot at its start.
Reading an operator's file, and saying all that is wrong with it, is `router.config_file`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, Final, Literal

from router.config_plain import Between, decode, encode
from router.config_values import ANY_PEER as ANY_PEER
from router.config_values import Address as Address
from router.config_values import (
    Bytes,
    Count,
    HostedName,
    Jid,
    LinkAddress,
    LinkName,
    ListenAddress,
    Pair,
    PeerName,
    Processors,
    Rate,
    Seconds,
    ServerAddress,
    ServiceJid,
    TargetAddress,
    Text,
)
from router.xmpp import jid
from router.xmpp.perspective import BELOW, Domains

_HTTP: Final = Address("127.0.0.1", 5280)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Listen:
    """`[listen]`: where we accept connections. Port 0 lets the system choose."""

    s2s: tuple[ListenAddress, ...] = (Address("::", 5269),)
    s2s_direct_tls: tuple[ListenAddress, ...] = (Address("::", 5270),)
    components: tuple[ListenAddress, ...] = (Address("127.0.0.1", 5347),)
    http: ListenAddress = _HTTP
    inside: tuple[ListenAddress, ...] = ()  # for the servers behind the router


@dataclass(frozen=True, slots=True)
class Processes:
    """`[processes]`: how many of each role, and the directory of their sockets."""

    acceptors: Processors = field(default_factory=_cores)
    workers: Processors = field(default_factory=lambda: max(1, _cores() // 2))
    pin: bool = False
    run_dir: Path = Path()  # never empty in a loaded config


@dataclass(frozen=True, slots=True)
class Tls:
    """`[tls]`: our certificates, whom we trust, and whether plaintext is enough."""

    certificates: Path = Path("certs")
    trust_anchors: Text = "system"  # or the path of a PEM file
    required: bool = True

    def certificate_files(self, domain: str) -> tuple[tuple[Path, Path], ...]:
        """Where a domain's certificate and key may be, best first; names are in A-labels."""
        name = jid.ascii_domain(domain)
        nested = self.certificates / name
        return (
            (self.certificates / f"{name}.crt", self.certificates / f"{name}.key"),
            (nested / "fullchain.pem", nested / "privkey.pem"),
        )


@dataclass(frozen=True, slots=True)
class Dialback:
    """`[dialback]`: XEP-0220; `secret` is what `secret_file` holds, never in the file itself."""

    enabled: bool = True
    secret_file: Path = Path("dialback.secret")
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Inside:
    """`[inside]`: what proves the servers behind the router to us, and us to them.

    `secret` is what `secret_file` holds: dialback inside, where it is never off.
    """

    require: Literal["dialback", "certificate"] = "dialback"
    trust_anchors: Text | None = None  # "system", or a PEM file; None: as outside
    trust_address: bool = False  # who comes from the address of a domain's target is that domain
    tls_required: bool = True
    secret_file: Path = Path("inside.secret")
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Dns:
    """`[dns]`: whom to ask, how long to wait, and what to keep."""

    resolvers: tuple[ServerAddress, ...] = ()  # none: the system's
    timeout_s: Seconds = 10.0  # all queries of one look-up together
    min_ttl_s: Seconds = 5.0
    max_ttl_s: Seconds = 3600.0
    negative_ttl_s: Seconds = 60.0
    cache_names: Count = 4096
    max_srv_records: Count = 16
    max_addresses: Count = 16
    privileged_ports: tuple[Annotated[int, Between(1, 1023)], ...] = (443,)  # in SRV records


@dataclass(frozen=True, slots=True)
class Dial:
    """`[dial]`: what may be dialled. Static targets always pass."""

    allow_private_addresses: bool = False
    backoff_max_s: Annotated[float, Between(0, 86_400)] = 60.0  # how long what fails is left alone


@dataclass(frozen=True, slots=True)
class Delivery:
    """`[delivery]`: when a stanza counts as handed over, and what if that is never known."""

    level: Literal["tcp", "write"] = "tcp"  # without stream management
    stream_management: bool = True  # XEP-0198, with servers that speak it
    in_doubt: Literal["bounce", "resend"] = "bounce"
    resume_s: Annotated[float, Between(0, 600)] = 30.0  # a lost stream may be resumed; 0: never


@dataclass(frozen=True, slots=True)
class Log:
    """`[log]`: what is worth a line; each level includes those after it."""

    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Limits:
    """`[limits]`: every bound, with its unit in its name."""

    max_stanza_bytes: Annotated[int, Between(10_000, 1 << 24)] = 262_144  # RFC 6120 §13.12
    max_preauth_bytes: Bytes = 16_384  # each element before authentication
    max_preauth_total_bytes: Bytes = 65_536  # all of them
    max_depth: Annotated[int, Between(4, 256)] = 64
    max_attributes: Count = 64  # per element
    max_namespaces: Count = 32  # declarations per element
    max_elements: Count = 4096  # per stanza
    handshake_timeout_s: Seconds = 60.0  # connect to authenticated, all phases together
    close_timeout_s: Seconds = 5.0  # our closing tag to the peer's
    verification_timeout_s: Seconds = 30.0  # a dialback key received to its verdict
    pending_verifications: Count = 16  # per inbound stream
    verified_domains_per_s: Rate = 4  # sender domains new to an inbound stream; each may be a dial
    unauthenticated_per_address: Count = 64
    unauthenticated_connections: Count = 4096  # per acceptor
    backlog_bytes: Bytes = 1_048_576  # per pair, while there is no stream for it
    backlog_stanzas: Count = 1000
    backlog_s: Seconds = 30.0
    bounces_per_s: Rate = 500  # errors to a remote domain, of each acceptor; 0: all there are
    lane_window_bytes: Bytes = 2_097_152  # per lane, and per stream: received and not yet done
    retention_bytes: Bytes = 67_108_864  # per acceptor, of all streams: received and not yet done
    component_grace_s: Annotated[float, Between(0, 300)] = 3.0  # for a hosted domain to come back
    idle_check_s: Seconds = 300.0  # nothing received for so long: is the peer still there?
    unanswered_check_s: Seconds = 60.0  # what its kernel may take to acknowledge anything
    unread_output_s: Seconds = 120.0  # what a peer that is there may take to read anything
    output_buffer_bytes: Bytes = 16_777_216  # per stream, written and not yet with the kernel
    output_total_bytes: Bytes = 67_108_864  # per acceptor, of all streams: the same
    connections: Count = 4096  # per acceptor, of all kinds and both ways
    stream_bytes_per_s: Rate = 0  # read from a peer's stream; 0: as fast as it comes
    stream_stanzas_per_s: Rate = 0


@dataclass(frozen=True, slots=True)
class Express:
    """`[[e2e.express]]`: pairs that go to another router over an end-to-end stream."""

    peer: Jid
    pairs: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class E2e:
    """`[e2e]`: the router's own address, and end-to-end XML streams (XEP-0246, XEP-0247)."""

    jid: ServiceJid | None = None  # without one the router answers for no domain itself
    accept: tuple[Jid, ...] = ()  # domains or JIDs that may open a session
    tls_required: bool = True
    socks5: tuple[ListenAddress, ...] = ()
    socks5_public: tuple[TargetAddress, ...] = ()
    proxy: bool = False
    lan: LinkAddress | None = None  # routers on the same link find each other (XEP-0174)
    lan_name: LinkName | None = None  # user@machine; None: after the machine
    server: TargetAddress | None = None
    secret: str = field(default="", repr=False)
    express: tuple[Express, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """`[domains."NAME"]`: a domain hosted here, and how it attaches.

    What stands below `target` is how we treat its server, as in `Peer`.
    """

    attach: Literal["component", "server"]
    secret: str = field(default="", repr=False)
    secret_file: Path | None = None
    target: TargetAddress | None = None
    target_tls: Literal["starttls", "direct"] = "starttls"
    bidi: bool = True
    multiplex: bool | None = None
    bytes_per_s: Rate | None = None
    stanzas_per_s: Rate | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """`[peers."NAME"]`: how we treat one remote domain, or with "*" every other one."""

    require: Literal["dialback", "certificate"] = "dialback"
    bidi: bool = True
    target: TargetAddress | None = None  # static route instead of DNS
    target_tls: Literal["starttls", "direct"] = "starttls"
    deny: bool = False
    bytes_per_s: Rate | None = None  # None: limits.stream_bytes_per_s
    stanzas_per_s: Rate | None = None
    # Instead of what was learned (`router.peer_memory`); None: as learned.
    external: bool | None = None  # it takes our SASL EXTERNAL
    multiplex: bool | None = None  # it takes several domain pairs on one stream
    reverse_dialback: bool | None = None  # it takes db:result on a bidi stream that it opened


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. Domains are normalised by `jid.domain`; paths of a loaded file are absolute.

    Entries of `peers` are complete: what a domain's own table leaves out, its entry has from "*".
    """

    listen: Listen = Listen()
    processes: Processes = field(default_factory=Processes)
    tls: Tls = Tls()
    dialback: Dialback = Dialback()
    inside: Inside = Inside()
    dns: Dns = Dns()
    dial: Dial = Dial()
    delivery: Delivery = Delivery()
    log: Log = Log()
    limits: Limits = Limits()
    e2e: E2e = E2e()
    domains: Mapping[HostedName, Domain] = field(default_factory=dict)
    peers: Mapping[PeerName, Peer] = field(default_factory=dict)

    @property
    def hosted(self) -> tuple[str, ...]:
        """The hosted domains, in the order of the file; last the router's own, if it has one."""
        return (*self.domains, self.service) if self.service else tuple(self.domains)

    @property
    def service(self) -> str:
        """The domain at which the router itself answers, or ""."""
        return self.e2e.jid or ""

    @property
    def hosts(self) -> Domains:
        """Every domain that is hosted here, by name or below another."""
        return _domains(self.hosted)

    @property
    def servers(self) -> Domains:
        """The domains whose server stands behind the router."""
        attached = [name for name, each in self.domains.items() if each.attach == "server"]
        return _domains(attached, frozenset(self.hosted).difference(attached))

    def domain(self, domain: str) -> Domain | None:
        """How a hosted domain attaches: its own entry, or "*.PARENT" of its nearest parent."""
        return None if domain == self.service else _entry(self.domains, domain)

    def peer(self, domain: str) -> Peer:
        """What holds for a domain that others are: a remote one, or one of a server behind us.

        Of a remote one (normalised) its own entry, or as in `domain`, else "*".
        """
        server = self.domain(domain)
        if server is not None and server.attach == "server":
            return Peer(
                require=self.inside.require,
                bidi=server.bidi,
                target=server.target,
                target_tls=server.target_tls,
                bytes_per_s=server.bytes_per_s,
                stanzas_per_s=server.stanzas_per_s,
                multiplex=server.multiplex,
            )
        return _entry(self.peers, domain) or self.peers.get(ANY_PEER) or Peer()

    def refuses(self, domain: str) -> bool:
        """Whether there is to be no stream with this remote domain (normalised), either way.

        It is denied, or it is an IP address that has no entry of its own.
        """
        return self.peer(domain).deny or (jid.is_address(domain) and domain not in self.peers)

    def secrets(self) -> tuple[str, ...]:
        """Everything in here that must not be shown."""
        of_domains = (domain.secret for domain in self.domains.values())
        own = (self.dialback.secret, self.inside.secret, self.e2e.secret)
        return tuple(filter(None, (*own, *of_domains)))

    def to_plain(self) -> dict[str, Any]:
        """Secrets included, as strings, numbers, lists and dicts, in the shape of the file."""
        plain: dict[str, Any] = encode(self)
        return plain

    def digest(self) -> str:
        """The same for configurations that say the same; tells nothing of what they say."""
        return sha256(json.dumps(self.to_plain()).encode()).hexdigest()[:16]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Config":
        """The inverse of `to_plain`. Raises ValueError for anything else."""

        def refuse(key: tuple[str, ...], message: str) -> None:
            raise ValueError(f"{'.'.join(key)}: {message}")

        config = decode(cls, plain, (), refuse)
        assert isinstance(config, cls)
        return config


def _entry(table: Mapping[str, Any], domain: str) -> Any:
    own, parent = table.get(domain), domain
    while own is None and parent:
        parent = parent.partition(".")[2]
        own = table.get(BELOW + parent)
    return own


def _domains(names: Iterable[str], others: frozenset[str] = frozenset()) -> Domains:
    listed = frozenset(names)
    parents = frozenset(name[len(BELOW) :] for name in listed if name.startswith(BELOW))
    return Domains(
        frozenset(name for name in listed if not name.startswith(BELOW)), parents, others
    )


def default_run_dir(config_file: Path, environ: Mapping[str, str]) -> Path:
    """The directory of the sockets when none is configured: one per user and configuration file."""
    base = Path(environ.get("XDG_RUNTIME_DIR") or "/tmp")
    digest = sha256(os.fsencode(config_file.resolve())).hexdigest()[:12]
    return base / f"causeway-{os.getuid()}-{digest}"


def write_snapshot(config: Config, path: Path) -> None:
    """Puts the effective configuration, secrets included, at `path`, mode 0600, at one stroke."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as draft:
        json.dump(config.to_plain(), draft)
    Path(draft.name).replace(path)


def read_snapshot(path: Path) -> Config:
    """What `write_snapshot` wrote. Raises OSError or ValueError."""
    return Config.from_plain(json.loads(path.read_text()))
