"""What is logged of an error."""

import io
import logging
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.logs import in_words, keep_texts_out
from softlaunch.core.settings import Settings, SettingsError
from softlaunch.core.variant import ModelVersion

SECRET = "what jane wrote"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a logger of ours writes, in a process that keeps texts out."""
    made, written = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("softlaunch.tests")
    logger.addHandler(handler)
    keep_texts_out()
    keep_texts_out()  # a second time changes nothing
    yield written
    logging.setLogRecordFactory(made)
    logger.removeHandler(handler)


def raise_with_cause() -> None:
    """An error with a text of somebody's, because of another one."""
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_a_traceback_has_places_and_no_texts(log: io.StringIO) -> None:
    """Neither of the error nor of what it came from."""
    try:
        raise_with_cause()
    except KeyError:
        logging.getLogger("softlaunch.tests").exception("it broke")
    written = log.getvalue()
    assert SECRET not in written
    assert "in raise_with_cause" in written
    assert written.index("ValueError") < written.index("KeyError")


def test_texts_that_help_stay(log: io.StringIO) -> None:
    """Those of programs, files and addresses, and our own."""
    try:
        open("/no/such/file")  # noqa: PTH123, SIM115  (it fails)
    except OSError:
        logging.getLogger("softlaunch.tests").exception("it broke")
    assert "No such file or directory: '/no/such/file'" in log.getvalue()
    assert in_words(SoftlaunchError("mend it")).endswith("SoftlaunchError: mend it")


def test_a_line_of_the_log_can_not_be_forged(log: io.StringIO) -> None:
    """By what is put into it."""
    logging.getLogger("softlaunch.tests").warning(
        "%s came to nothing: %s", "a\nERROR b\x1b[2J", SoftlaunchError("c\nd")
    )
    assert log.getvalue() == "WARNING a\\nERROR b\\x1b[2J came to nothing: c\\nd\n"


@pytest.mark.parametrize("kind", [Settings, ModelVersion])
def test_contents_and_settings_do_not_quote_what_they_refuse(kind: type[BaseModel]) -> None:
    """It may be a key, or a prompt."""
    with pytest.raises((ValidationError, SettingsError)) as caught:
        kind.model_validate({"poll_seconds": SECRET, "name": SECRET, "endpoint": SECRET})
    assert SECRET not in str(caught.value).replace(f"'{SECRET}' is not a name", "")
