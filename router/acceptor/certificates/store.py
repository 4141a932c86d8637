"""Our certificates: which one a hosted domain shows, and the TLS context that shows it.

Read at the start and at a reload; connections keep what they began with. The acceptor asks here for
every connection. How contexts are set is `contexts`'; judging peers is `verdict`'s.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from OpenSSL import SSL

from router.acceptor.certificates.contexts import client_context, server_context
from router.acceptor.certificates.credential import Credential, CredentialError, read_credential
from router.acceptor.tls import reason
from router.xmpp import jid
from router.xmpp.errors import MisuseError
from router.xmpp.perspective import BELOW, Domains


class CertificateStore:
    """The certificates in `directory`, for the `hosted` domains, the first of which is the default.

    Files are NAME.crt with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem, NAME in A-labels.
    A domain without files of its own is served by any certificate that covers it; so are those that
    `hosted` names by their parent, as "*.PARENT".
    """

    def __init__(self, directory: Path, hosted: Sequence[str]) -> None:
        self._credentials: dict[str, Credential] = {}
        self.reload(directory, hosted)

    def reload(self, directory: Path, hosted: Sequence[str]) -> list[str]:
        """Read all of it anew; the `problems`. A domain whose files have become unusable keeps
        what it had.
        """
        self._directory = directory
        self._problems: list[str] = []
        found = self._read()
        before, self._credentials = self._credentials, {}
        names = [name for name in hosted if not name.startswith(BELOW)]
        parents = frozenset(name[len(BELOW) :] for name in hosted if name.startswith(BELOW))
        self._below = Domains(parents=parents, others=frozenset(names))
        self._found = tuple(found.values())
        for domain in map(jid.domain, names):
            credential = self._choose(domain, found) or before.get(domain)
            if credential is not None:
                self._credentials[domain] = credential
        self._default = next(iter(self._credentials.values()), None)
        self._servers: dict[tuple[Credential, bool], SSL.Context] = {}
        self._clients: dict[tuple[Credential | None, bool], SSL.Context] = {}
        return self.problems()

    def problems(self) -> list[str]:
        """Files that cannot be used, and domains that have no certificate or an unfit one."""
        return list(self._problems)

    def has_certificate(self, domain: str) -> bool:
        """Whether we show a certificate for this hosted domain."""
        return self._of(domain) is not None

    def shows(self, domain: str, name: str) -> bool:
        """Whether what we show as the hosted `domain` proves `name` as well."""
        credential = self._of(domain)
        return credential is not None and credential.identifiers.covers(name)

    def starttls_context(self, header_to: str) -> SSL.Context:
        """For STARTTLS on a stream to `header_to`, which may be any text.

        RFC 6120 §5.4.3.1: the certificate of that domain, unless SNI names a hosted one; the first
        hosted domain's when neither does. Raises MisuseError when there is no certificate at all.
        """
        return self._server(self._credential_of(header_to) or self._default, direct_tls=False)

    def direct_context(self) -> SSL.Context:
        """For direct TLS: the certificate that SNI asks for, the first hosted domain's without SNI.

        An SNI that is not hosted gets the alert: never another tenant's certificate. Raises
        MisuseError when there is no certificate at all.
        """
        return self._server(self._default, direct_tls=True)

    def client_context(self, domain: str, *, direct_tls: bool = False) -> SSL.Context:
        """For a connection opened in the name of a hosted domain; shows its certificate, if any."""
        key = self._of(domain), direct_tls
        if key not in self._clients:
            self._clients[key] = client_context(key[0], direct_tls=direct_tls)
        return self._clients[key]

    # --- contexts ---

    def _server(self, credential: Credential | None, *, direct_tls: bool) -> SSL.Context:
        if credential is None:
            raise MisuseError("TLS offered without a certificate")
        key = credential, direct_tls
        if key not in self._servers:
            by_name = partial(self._by_name, direct_tls=direct_tls)
            self._servers[key] = server_context(credential, by_name, direct_tls=direct_tls)
        return self._servers[key]

    def _by_name(self, name: str, *, direct_tls: bool) -> SSL.Context | None:
        credential = self._credential_of(name)
        return self._server(credential, direct_tls=direct_tls) if credential else None

    def _credential_of(self, name: str) -> Credential | None:
        try:
            return self._of(jid.domain(name))
        except jid.JidError:
            return None

    def _of(self, domain: str) -> Credential | None:
        own = self._credentials.get(domain)
        return own or (_covering(domain, self._found) if domain in self._below else None)

    # --- files ---

    def _read(self) -> dict[str, Credential]:
        """Every usable credential, by the name its files have."""
        pairs = {
            file.stem: (file, file.with_suffix(".key")) for file in self._directory.glob("*.crt")
        }
        for file in self._directory.glob("*/fullchain.pem"):
            pairs.setdefault(file.parent.name, (file, file.with_name("privkey.pem")))
        found = {}
        for name, (certificate_file, key_file) in sorted(pairs.items()):
            try:
                credential = read_credential(certificate_file, key_file)
                client_context(credential, direct_tls=False)
                found[name] = credential
            except CredentialError as error:
                self._problems.append(str(error))
            except SSL.Error as error:  # OpenSSL has its own idea of what is too weak
                self._problems.append(f"{certificate_file}: OpenSSL refuses it: {reason(error)}")
        return found

    def _choose(self, domain: str, found: dict[str, Credential]) -> Credential | None:
        """Its own if fit, else any that covers it and lasts longest, else its own though unfit."""
        own = found.get(jid.ascii_domain(domain))
        if own is not None and own.identifiers.covers(domain):
            return own
        if own is not None:
            self._problems.append(f"{own.file}: is for {own.identifiers.shown}, not {domain}")
        if (covering := _covering(domain, found.values())) is not None:
            return covering
        if own is None:
            self._problems.append(f"{domain}: no certificate for it in {self._directory}")
        return own


def _covering(domain: str, credentials: Iterable[Credential]) -> Credential | None:
    """Of those that cover the domain the one that lasts longest."""
    covering = (each for each in credentials if each.identifiers.covers(domain))
    return max(covering, key=lambda each: each.chain[0].not_valid_after_utc, default=None)
