"""Certificates: which of ours we show, and what a peer's proves.

store, credential, contexts   our certificates, read from files, and the TLS settings they go with
verdict, identifiers          what a peer's certificate proves (RFC 6120 §13.7)
expiry                        and for how long
"""
