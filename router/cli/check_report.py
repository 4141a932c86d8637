"""The words of `causeway check DOMAIN`: lines for people, from what `check_domain` found."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from router.cli.check_certificate import purposes

_LABEL: Final = 15
_PROOFS: Final = {
    "external": "by certificate (SASL EXTERNAL)",
    "dialback": "by dialback",
    "none": "not at all",
}
_DIALBACK: Final = {
    "declared": "dialback (declared, not offered)",
    "offered": "dialback without errors",
    "errors": "dialback with errors",
}
_FAILED: Final = {"silence": "no answer", "error": "cannot be had: the name servers fail"}

Said = Mapping[str, Any]


def lines(report: Said, own: Said | None) -> Iterator[str]:
    """All of it, section by section; `own` is our certificate as `described`, if we show one."""
    yield f"{report['remote']} as {report['local']} sees it"
    yield _row("we show", _own(own) if own is not None else "no certificate", 2)
    yield ""
    if report["route"] == "static":
        yield 'a static route, by [peers."…"] target'
    elif report["route"] == "inside":
        yield 'a server behind the router, by [domains."…"] target'
    for service in report["services"]:
        yield from _service(service)
    if report["is_fallback"]:
        yield "without SRV records, port 5269 of the domain itself is tried (RFC 6120 §3.2.2)"
    for number, target in enumerate(report["targets"], 1):
        yield ""
        yield f"{number}. {_where(target)}, {_mode(target)}"
        yield from _target(target)
    yield ""
    yield _conclusion(report)


def _row(label: str, text: str, indent: int = 3) -> str:
    return f"{' ' * indent}{label:<{_LABEL - indent}} {text}"


def _where(place: Said) -> str:
    return f"{place['host']} port {place['port']}"


def _mode(target: Said) -> str:
    return "direct TLS" if target["tls_mode"] == "direct" else "STARTTLS"


def _own(own: Said) -> str:
    text = f"{own.get('key', own.get('fault'))}, until {own['expires'][:10]}, for {purposes(own)}"
    if not own.get("client_auth", True):
        text += "; some peers will want dialback"
    return f"{text}; it {own['warning']}" if own["warning"] else text


def _service(service: Said) -> Iterator[str]:
    name = service["service"]
    if service["failed"] or not service["records"]:
        yield f"{name}  {_FAILED.get(service['failed'], 'no records')}"
    for record in service["records"]:
        place = "none: there is no such service" if record["host"] == "." else _where(record)
        text = f"{name}  priority {record['priority']}, weight {record['weight']}: {place}"
        is_skipped = not record["usable"] and record["host"] != "."
        yield f"{text}, which is a port of another service" if is_skipped else text


def _target(target: Said) -> Iterator[str]:
    for each in target["addresses"]:
        refused = f"not dialled: {each['refused']}" if each["refused"] else ""
        yield _row("address", ", ".join(filter(None, (each["address"], refused))))
    if target["connected"]:
        yield _row("connected to", target["connected"])
        yield from _negotiated(target)
    if target["problem"]:
        yield _row("problem", target["problem"])


def _negotiated(target: Said) -> Iterator[str]:
    if target["before_tls"] is not None:
        missing = "" if target["before_tls"]["starttls"] else "no STARTTLS; "
        yield _row("before TLS", missing + _features(target["before_tls"]))
    if (tls := target["tls"]) is not None:
        yield _row("TLS", tls.get("error") or f"{tls['version']}, {tls['cipher']}")
    if (leaf := target["certificate"]["leaf"]) is not None:
        yield from _certificate(target["certificate"], leaf)
    if target["inside_tls"] is not None:
        yield _row("inside TLS", _features(target["inside_tls"]))
    if (error := target["stream_error"]) is not None:
        who = "from the peer" if error["by_peer"] else "ours"
        text = f": {error['text']}" if error["text"] else ""
        yield _row("stream error", f"{error['condition']} ({who}){text}")
    elif target["complete"]:
        proof, bidi = target["proof"], target["bidi"]
        yield _row("proving us", f"{_PROOFS[proof['by']]}: {proof['reason']}")
        yield _row("bidi", f"{'yes' if bidi['would'] else 'no'}: {bidi['reason']}")


def _certificate(certificate: Said, leaf: Said) -> Iterator[str]:
    names = ", ".join(leaf.get("names", ())) or "no domain"
    yield _row("certificate", f"for {names}; {leaf.get('key', leaf.get('fault'))}")
    days = leaf["days_left"]
    left = f"{days} days" if days >= 0 else "past"
    until = f"until {leaf['expires'][:10]} ({left})"
    issued = f", issued by {leaf['issuer']}" if "issuer" in leaf else ""
    yield _row("", f"{until}{issued}; {certificate['certificates']} in the chain")
    if certificate["warning"]:
        yield _row("warning", f"its certificate {certificate['warning']}")
    answer = "yes" if certificate["valid"] else "no"
    yield _row("proves it", f'{answer} (require = "certificate"): {certificate["reason"]}')
    if certificate["chain_fault"] and certificate["chain_fault"] not in certificate["reason"]:
        yield _row("chain", certificate["chain_fault"])


def _features(offer: Said) -> str:
    words = []
    if offer["starttls"]:
        words.append(f"STARTTLS{' required' if offer['starttls'] == 'required' else ''}")
    if offer["mechanisms"]:
        words.append(f"SASL {' '.join(offer['mechanisms'])}")
    if offer["dialback"]:
        words.append(_DIALBACK[offer["dialback"]])
    words += [f"bidi ({namespace})" for namespace in offer["bidi"]]
    words += [f"{name} {value}" for name, value in offer["limits"].items()]
    if offer["stream_management"]:
        words.append("stream management")
    words += offer["others"]
    return ", ".join(words) or "nothing"


def _conclusion(report: Said) -> str:
    note = f" ({report['problem']})" if report["problem"] else ""
    if not report["ok"]:
        return f"No stream can be opened{note}."
    target = report["targets"][report["used"] - 1]
    ways = "both ways on it" if target["bidi"]["would"] else "one way; the peer opens its own"
    proof = _PROOFS[target["proof"]["by"]]
    return f"A stream can be opened, through target {report['used']}, {proof}, {ways}{note}."
