"""The table of outcomes: whom each counts against."""

from softlaunch.core.request_outcome import ARM_FAILURES, GIVEN, OF_ERRORS, RequestOutcome


def test_every_outcome_is_an_answer_a_failure_of_the_arm_or_somebody_elses_doing() -> None:
    """No outcome counts twice, and only two are neither an answer nor an error of the arm by themselves."""
    assert not GIVEN & ARM_FAILURES
    assert set(RequestOutcome) - GIVEN - ARM_FAILURES == {RequestOutcome.REQUEST_AT_FAULT, RequestOutcome.CLIENT_GONE}


def test_what_older_rows_keep_counts_as_it_did() -> None:
    """A row without an error was an answer; a client that left and a request at fault were nobody's error."""
    assert OF_ERRORS[None] in GIVEN
    harmless = {error for error, outcome in OF_ERRORS.items() if outcome not in ARM_FAILURES}
    assert harmless == {None, "client_gone", "http_4xx", "render"}
