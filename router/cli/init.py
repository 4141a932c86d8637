"""`causeway init`: writes the commented sample configuration."""

from pathlib import Path
from typing import Annotated, Final

import typer

from router.cli.options import DEFAULT_CONFIG


def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write.")] = (
        DEFAULT_CONFIG
    ),
) -> None:
    """Write a commented configuration; a file that is there is left alone."""
    try:
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)  # secrets will stand in it
            file.write(SAMPLE)
    except OSError as error:
        reason = "is there already" if isinstance(error, FileExistsError) else error.strerror
        typer.echo(f"{path}: {reason}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{path}: written. Edit it, then: causeway check --config {path}")


# Here and not in a data file, so that it is wherever the program is; ops/causeway.toml is a copy.
SAMPLE: Final = """\
# Causeway, an XMPP federation router. What is commented out shows the default.
# Relative paths start at this file. Any key can be set from the environment instead:
#   CAUSEWAY__LISTEN__HTTP=127.0.0.1:9280
#   CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__SECRET=...
# "causeway check" lists every mistake.

[listen]
#s2s            = ["[::]:5269"]         # other servers, STARTTLS
#s2s_direct_tls = ["[::]:5270"]         # other servers, TLS from the start (XEP-0368)
#components     = ["127.0.0.1:5347"]    # your servers, as components (XEP-0114)
#inside         = []                    # the servers behind us, STARTTLS; they dial nobody else
#http           = "127.0.0.1:5280"      # /metrics /live /ready /api and the status page

[processes]
#acceptors = 2                          # default: the number of cores
#workers   = 1                          # default: half the cores, at least 1
#pin       = false                      # a CPU for each process: lone stanzas take up to a third
                                        # less time; for machines that do little else
#run_dir   = "/run/causeway"            # mode 0700; default: one under $XDG_RUNTIME_DIR or /tmp

[tls]
#certificates  = "certs"                # NAME.crt and NAME.key, or
                                        # NAME/fullchain.pem and NAME/privkey.pem
#trust_anchors = "system"               # or a PEM file, which then replaces the public roots
#required      = true                   # no stanza and no proof of identity in plaintext

[dialback]
#enabled     = true
#secret_file = "dialback.secret"        # created when missing; the same on every node

# The servers behind us, of domains with attach = "server": what proves them, and us to them.
[inside]
#require       = "dialback"             # dialback to their target, or a certificate; or certificate
#trust_anchors = "system"               # default: as in [tls]
#trust_address = false                  # what comes from the address of a target is its domain
#tls_required  = true
#secret_file   = "inside.secret"        # created when missing; never that of [dialback]

[dns]
#resolvers        = ["127.0.0.1:53"]    # default: the system's
#timeout_s        = 10                  # all queries of one look-up together
#min_ttl_s        = 5
#max_ttl_s        = 3600
#negative_ttl_s   = 60
#cache_names      = 4096
#max_srv_records  = 16
#max_addresses    = 16
#privileged_ports = [443]               # ports below 1024 that a remote domain may name

[dial]
#allow_private_addresses = false        # loopback, link-local, private ranges; static targets pass
#backoff_max_s           = 60           # the longest a domain or address that fails is left alone

[delivery]
#level             = "tcp"              # handed over is what the other side's TCP has, or
                                        # "write": what has left
#stream_management = true               # and what the other side has said that it handled, where
                                        # it speaks XEP-0198
#in_doubt          = "bounce"           # a stream broke: what it may have delivered comes back, or
                                        # "resend": goes out once more, and may arrive twice
#resume_s          = 30                 # for so long a lost stream may be gone on with; 0: never

[log]
#level = "info"                         # debug, info, warning or error

[limits]
#max_stanza_bytes            = 262144
#max_preauth_bytes           = 16384    # each element before authentication
#max_preauth_total_bytes     = 65536    # all of them
#max_depth                   = 64
#max_attributes              = 64       # per element
#max_namespaces              = 32       # declarations per element
#max_elements                = 4096     # per stanza
#handshake_timeout_s         = 60       # connect to authenticated, all phases together
#close_timeout_s             = 5        # our closing tag to the peer's
#verification_timeout_s      = 30       # a dialback key received to its verdict
#pending_verifications       = 16       # per inbound stream
#unauthenticated_per_address = 64
#unauthenticated_connections = 4096     # per acceptor
#backlog_bytes               = 1048576  # per domain pair, while there is no stream for it
#backlog_stanzas             = 1000
#backlog_s                   = 30
#bounces_per_s               = 500      # errors from an acceptor to a remote domain; 0: all of them
#lane_window_bytes           = 2097152  # under way from one stream to another, and from one stream
#retention_bytes             = 67108864 # under way in one acceptor
#output_buffer_bytes         = 16777216 # per stream, while its other end does not read
#output_total_bytes          = 67108864 # per acceptor, in all streams together
#connections                 = 4096     # per acceptor, of all kinds and both ways
#unread_output_s             = 120      # a stream whose other end reads nothing for so long ends
#idle_check_s                = 300      # nothing came for so long: is the other end still there?
#unanswered_check_s          = 60       # and what its TCP may take to answer
#component_grace_s           = 3        # a hosted domain that has just left may be back; 0: refuse
#verified_domains_per_s      = 4        # new sender domains on one stream, by dialback; 0: any
#stream_bytes_per_s          = 0        # read from one stream of another server; 0: what it sends
#stream_stanzas_per_s        = 0

#[e2e]
#jid = "relay.montague.example"         # the router's own address: answers pings and discovery; it
                                        # needs a certificate, and is no table of [domains]
# End-to-end streams (XEP-0246), for those who are listed; a domain stands for all addresses at it.
#accept        = ["capulet.example"]    # who may open a session, besides the peers of express lanes
#tls_required  = true                   # inside the stream
#socks5        = ["192.0.2.1:1080"]     # where peers may connect to: else in-band, in stanzas
#socks5_public = ["relay.montague.example:1080"]   # what to tell them, if that differs
#proxy         = false                  # relay bytestreams of those who are listed (XEP-0065)
#lan           = "192.0.2.1:5298"       # find routers on this link (XEP-0174), who are listed
                                        # and whose certificates prove it: streams over TCP
#lan_name      = "causeway@pronto"      # what they see; default: after this machine's name
#server        = "10.0.0.9:5347"        # the address is a component of this server, with a secret
#secret        = ""
# A lane to another router, past the servers in between; it has one to us, for the same pairs.
#[[e2e.express]]
#peer  = "relay.capulet.example"
#pairs = [["montague.example", "capulet.example"]]

# A domain hosted here: it attaches as a component, with this secret.
[domains."montague.example"]
attach = "component"
secret = ""                             # choose one, or secret_file = "montague.secret"

# And one whose server stands behind us; "*.verona.example" is all below it.
#[domains."verona.example"]
#attach     = "server"
#target     = "10.0.0.7:5269"
#target_tls = "starttls"                # or "direct"
#bidi       = true

# Every remote domain, unless it has a table of its own, or "*.example.org" is nearer. With
# deny = true here and deny = false there, only those listed are admitted.
[peers."*"]
#require = "dialback"                   # what proof is enough: dialback or certificate
#bidi    = true                         # both directions on one connection (XEP-0288)
#deny    = false
#bytes_per_s   = 0                      # for its streams, in place of those of [limits]
#stanzas_per_s = 0

#[peers."capulet.example"]
#target     = "192.0.2.1:5269"          # a static route instead of DNS
#target_tls = "starttls"                # or "direct"
# What it can do is learned. To say so instead, here or for "*":
#external         = true                # it takes our certificate (SASL EXTERNAL)
#multiplex        = true                # it takes several domain pairs on one connection
#reverse_dialback = true                # it takes further domains on a connection that it opened
"""
