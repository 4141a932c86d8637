"""The authorization identity of SASL EXTERNAL, as text."""

import pytest

from router.xmpp import external

CAPULET = "capulet.lit"


@pytest.mark.clause("SAS-02")
def test_we_name_ourselves_in_the_initial_response():
    assert external.auth(CAPULET) == (
        b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>"
        b"Y2FwdWxldC5saXQ=</auth>"
    ).replace(b"'", b'"')


@pytest.mark.clause("SAS-03")
@pytest.mark.parametrize("data", ["", "=", "Y2FwdWxldC5saXQ=", "Q0FQVUxFVC5saXQu"])
def test_identities_that_are_the_streams_own(data):
    assert external.refusal(data, CAPULET) is None


@pytest.mark.clause("SAS-03")
@pytest.mark.parametrize("data", ["bW9udGFndWUubGl0", "YUBjYXB1bGV0LmxpdA==", "IA==", "/w=="])
def test_identities_of_somebody_else(data):
    assert external.refusal(data, CAPULET) == "invalid-authzid"


@pytest.mark.clause("SAS-05")
@pytest.mark.parametrize("data", ["=AAA", "BBBB=CCC", "Y2Fw dWxl", "Y2Fw\nZA==", "é"])
def test_base64_is_strict(data):
    assert external.refusal(data, CAPULET) == "incorrect-encoding"
