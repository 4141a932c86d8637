"""Every conversation in tests/transcripts, in whole segments and octet by octet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.transcript import load, play

FILES = Path(__file__).resolve().parents[2] / "transcripts"

# The clauses stand in the head of each file too; they are listed here for those who look for the
# test of a clause, and `test_the_list_is_what_the_files_say` keeps the two alike.
TRANSCRIPTS = [
    pytest.param("component_attach", marks=pytest.mark.clause("CMP-01", "CMP-03")),
    pytest.param(
        "component_client", marks=pytest.mark.clause("CMP-01", "CMP-03", "CMP-04", "RTE-02")
    ),
    pytest.param("component_client_refused", marks=pytest.mark.clause("CMP-02")),
    pytest.param("component_conflict", marks=pytest.mark.clause("CMP-02")),
    pytest.param("component_foreign_sender", marks=pytest.mark.clause("CMP-04")),
    pytest.param(
        "e2e_initiator",
        marks=pytest.mark.clause(
            "E2E-01", "E2E-02", "E2E-03", "E2E-05", "TLS-01", "TLS-06", "TLS-08"
        ),
    ),
    pytest.param("e2e_initiator_certificate_required", marks=pytest.mark.clause("E2E-03")),
    pytest.param(
        "e2e_recipient",
        marks=pytest.mark.clause(
            "E2E-01", "E2E-02", "E2E-03", "E2E-04", "E2E-05", "STR-06", "TLS-01"
        ),
    ),
    pytest.param("e2e_recipient_express", marks=pytest.mark.clause("E2E-01", "E2E-04")),
    pytest.param("e2e_recipient_foreign_sender", marks=pytest.mark.clause("E2E-04")),
    pytest.param("e2e_recipient_plaintext", marks=pytest.mark.clause("E2E-02", "E2E-03", "TLS-04")),
    pytest.param("e2e_recipient_wrong_peer", marks=pytest.mark.clause("E2E-01", "JXS-07")),
    pytest.param("initiating_authoritative", marks=pytest.mark.clause("DBK-12", "BIDI-17")),
    pytest.param("initiating_bidi_draft_form", marks=pytest.mark.clause("BIDI-03", "FEA-05")),
    pytest.param("initiating_bidi_without_trust", marks=pytest.mark.clause("BIDI-13")),
    pytest.param(
        "initiating_certificate_required_in_plaintext",
        marks=pytest.mark.clause("TLS-08", "BIDI-13"),
    ),
    pytest.param("initiating_closed_while_connecting", marks=pytest.mark.clause("STR-15")),
    pytest.param(
        "initiating_dialback_bidi",
        marks=pytest.mark.clause("BIDI-02", "BIDI-11", "DBK-05", "DBK-15", "DBK-18", "DBK-19"),
    ),
    pytest.param(
        "initiating_dialback_error",
        marks=pytest.mark.clause("DBK-18", "DBK-21", "DBK-23", "BIDI-17"),
    ),
    pytest.param("initiating_dialback_invalid", marks=pytest.mark.clause("DBK-20")),
    pytest.param("initiating_dialback_timeout", marks=pytest.mark.clause("DBK-21", "DBK-24")),
    pytest.param("initiating_dialback_unknown_type", marks=pytest.mark.clause("DBK-28")),
    pytest.param("initiating_elements_in_the_starttls_window", marks=pytest.mark.clause("TLS-01")),
    pytest.param(
        "initiating_external_bidi",
        marks=pytest.mark.clause(
            "STR-05",
            "STR-12",
            "TLS-01",
            "BIDI-02",
            "BIDI-06",
            "BIDI-11",
            "SAS-02",
            "SAS-07",
            "TLS-06",
        ),
    ),
    pytest.param("initiating_external_challenged", marks=pytest.mark.clause("SAS-04")),
    pytest.param("initiating_external_refused", marks=pytest.mark.clause("SAS-09", "BIDI-02")),
    pytest.param("initiating_injection_behind_proceed", marks=pytest.mark.clause("TLS-03")),
    pytest.param("initiating_key_without_bidi", marks=pytest.mark.clause("BIDI-12", "DBK-28")),
    pytest.param("initiating_management", marks=pytest.mark.clause("SMX-02", "SMX-06", "SMX-04")),
    pytest.param("initiating_management_not_offered", marks=pytest.mark.clause("SMX-01")),
    pytest.param("initiating_management_not_resumed", marks=pytest.mark.clause("SMX-09")),
    pytest.param("initiating_management_refused", marks=pytest.mark.clause("SMX-02")),
    pytest.param("initiating_management_resumes", marks=pytest.mark.clause("SMX-09")),
    pytest.param("initiating_no_way", marks=pytest.mark.clause("STR-05", "DBK-03")),
    pytest.param("initiating_one_way", marks=pytest.mark.clause("BIDI-12", "SAS-01")),
    pytest.param("initiating_peer_closes", marks=pytest.mark.clause("BIDI-23", "STR-16", "ERR-02")),
    pytest.param("initiating_plaintext", marks=pytest.mark.clause("BIDI-02", "FEA-02")),
    pytest.param(
        "initiating_reverse_dialback",
        marks=pytest.mark.clause("BIDI-14", "BIDI-15", "BIDI-16", "BIDI-17", "DBK-06"),
    ),
    pytest.param("initiating_stanza_before_proof", marks=pytest.mark.clause("BIDI-11", "BIDI-08")),
    pytest.param("initiating_stanza_behind_success", marks=pytest.mark.clause("STR-13")),
    pytest.param(
        "initiating_stanza_instead_of_header", marks=pytest.mark.clause("STR-13", "STR-10")
    ),
    pytest.param("initiating_starttls_stripped", marks=pytest.mark.clause("TLS-08", "FEA-05")),
    pytest.param("initiating_unknown_required", marks=pytest.mark.clause("FEA-05")),
    pytest.param(
        "initiating_verify",
        marks=pytest.mark.clause("DBK-09", "DBK-11", "DBK-14", "DBK-17", "DBK-28"),
    ),
    pytest.param("initiating_version_09", marks=pytest.mark.clause("STR-08")),
    pytest.param("receiving_authoritative", marks=pytest.mark.clause("DBK-04", "DBK-12", "DBK-13")),
    pytest.param(
        "receiving_bidi_in_plaintext_forgotten",
        marks=pytest.mark.clause("BIDI-05", "TLS-06", "FEA-02"),
    ),
    pytest.param("receiving_bidi_not_offered", marks=pytest.mark.clause("BIDI-07")),
    pytest.param("receiving_bidi_other_forms", marks=pytest.mark.clause("BIDI-03", "LIM-02")),
    pytest.param("receiving_certificate_required", marks=pytest.mark.clause("TLS-09", "DBK-07")),
    pytest.param("receiving_certificate_required_for_key", marks=pytest.mark.clause("DBK-07")),
    pytest.param("receiving_closing_tag_between", marks=pytest.mark.clause("STR-13")),
    pytest.param(
        "receiving_dialback_bidi",
        marks=pytest.mark.clause("DBK-05", "DBK-09", "DBK-15", "BIDI-08", "BIDI-10", "DTL-04"),
    ),
    pytest.param("receiving_dialback_by_certificate", marks=pytest.mark.clause("DBK-08")),
    pytest.param("receiving_dialback_invalid", marks=pytest.mark.clause("DBK-16", "STR-15")),
    pytest.param("receiving_dialback_invalid_beside_another", marks=pytest.mark.clause("DBK-16")),
    pytest.param("receiving_dialback_off", marks=pytest.mark.clause("FEA-03", "DBK-07")),
    pytest.param("receiving_dialback_off_no_certificate", marks=pytest.mark.clause("TLS-09")),
    pytest.param("receiving_dialback_repeated", marks=pytest.mark.clause("DBK-25", "DBK-26")),
    pytest.param(
        "receiving_dialback_targets", marks=pytest.mark.clause("DBK-06", "DBK-07", "DBK-23")
    ),
    pytest.param("receiving_dialback_unverifiable", marks=pytest.mark.clause("DBK-17", "DBK-23")),
    pytest.param(
        "receiving_external_bidi",
        marks=pytest.mark.clause(
            "STR-01",
            "STR-06",
            "STR-12",
            "STR-13",
            "FEA-01",
            "FEA-02",
            "FEA-03",
            "FEA-04",
            "TLS-01",
            "TLS-06",
            "SAS-01",
            "SAS-07",
            "BIDI-01",
            "BIDI-04",
            "BIDI-06",
            "BIDI-08",
            "BIDI-09",
            "DBK-01",
        ),
    ),
    pytest.param(
        "receiving_external_one_way", marks=pytest.mark.clause("SAS-07", "BIDI-09", "RTE-02")
    ),
    pytest.param("receiving_key_pending_at_auth", marks=pytest.mark.clause("STR-13", "DBK-03")),
    pytest.param("receiving_key_proved_during_sasl", marks=pytest.mark.clause("SAS-04", "STR-13")),
    pytest.param("receiving_late_bidi", marks=pytest.mark.clause("BIDI-07")),
    pytest.param("receiving_late_stanza", marks=pytest.mark.clause("STR-15", "STR-16")),
    pytest.param(
        "receiving_management",
        marks=pytest.mark.clause("SMX-01", "SMX-02", "SMX-03", "SMX-04", "SMX-06"),
    ),
    pytest.param("receiving_management_count_too_high", marks=pytest.mark.clause("SMX-07")),
    pytest.param(
        "receiving_management_dialback", marks=pytest.mark.clause("SMX-01", "SMX-02", "SMX-06")
    ),
    pytest.param("receiving_management_no_count", marks=pytest.mark.clause("SMX-07")),
    pytest.param("receiving_management_off", marks=pytest.mark.clause("SMX-01")),
    pytest.param("receiving_management_resumable", marks=pytest.mark.clause("SMX-02")),
    pytest.param("receiving_management_resumed", marks=pytest.mark.clause("SMX-09", "SMX-04")),
    pytest.param("receiving_no_from", marks=pytest.mark.clause("STR-04", "SAS-01")),
    pytest.param(
        "receiving_plaintext_attempts",
        marks=pytest.mark.clause("TLS-07", "BIDI-05", "BIDI-07", "SAS-06", "STR-17", "DBK-07"),
    ),
    pytest.param("receiving_plaintext_injection", marks=pytest.mark.clause("TLS-02")),
    pytest.param("receiving_prefix_free", marks=pytest.mark.clause("STR-11")),
    pytest.param(
        "receiving_sasl_challenge", marks=pytest.mark.clause("SAS-03", "SAS-04", "SAS-05", "SAS-10")
    ),
    pytest.param("receiving_sasl_changed_names", marks=pytest.mark.clause("STR-14")),
    pytest.param("receiving_sasl_expired", marks=pytest.mark.clause("SAS-08", "SAS-09")),
    pytest.param("receiving_sasl_where_none_is_due", marks=pytest.mark.clause("SAS-04", "SAS-06")),
    pytest.param(
        "receiving_stanza_before_the_answer", marks=pytest.mark.clause("STR-17", "DBK-15")
    ),
    pytest.param("receiving_starttls_after_proof", marks=pytest.mark.clause("TLS-04", "TLS-06")),
    pytest.param("receiving_starttls_twice", marks=pytest.mark.clause("TLS-04", "DTL-03")),
    pytest.param(
        "receiving_unsolicited_answers",
        marks=pytest.mark.clause("DBK-14", "DBK-18", "DBK-28", "BIDI-19"),
    ),
    pytest.param(
        "receiving_verdict_during_handshake", marks=pytest.mark.clause("TLS-06", "DBK-03", "TLS-05")
    ),
    pytest.param("receiving_version_09", marks=pytest.mark.clause("STR-08")),
    pytest.param("receiving_version_09_refused", marks=pytest.mark.clause("STR-08", "STR-09")),
    pytest.param(
        "receiving_white_space_behind_starttls", marks=pytest.mark.clause("TLS-01", "TLS-02")
    ),
]


def octet_by_octet(octets: bytes) -> Iterator[bytes]:
    for at in range(len(octets)):
        yield octets[at : at + 1]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_core_does_what_the_transcript_says(name: str) -> None:
    play(load(FILES / f"{name}.txt"))


@pytest.mark.clause("XML-07")
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_segments_make_no_difference(name: str) -> None:
    transcript = load(FILES / f"{name}.txt")
    if not transcript.segments_matter:
        play(transcript, octet_by_octet)


def test_the_list_is_what_the_files_say() -> None:
    files = {path.stem: load(path).clauses for path in FILES.glob("*.txt")}
    listed = {
        str(param.values[0]): tuple(clause for mark in param.marks for clause in mark.args)
        for param in TRANSCRIPTS
    }
    assert listed == files
