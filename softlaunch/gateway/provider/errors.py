"""How a call to a provider can fail before there is an answer of its protocol."""


class ProviderCallError(Exception):
    """The provider couldn't be asked, or its answer didn't come."""


class UnreachableError(ProviderCallError):
    """No connection could be made, or it was gone before an answer began."""


class InvalidUrlError(UnreachableError):
    """The address is no URL of an HTTP server, or names a host that can't exist."""


class ConnectTimeoutError(UnreachableError):
    """No connection could be made in time."""


class DroppedError(UnreachableError):
    """The provider closed the connection before its answer began."""


class BrokenOffError(ProviderCallError):
    """The provider's answer broke off."""


class InvalidHttpError(ProviderCallError):
    """What the provider sent is no HTTP/1.1."""


class AnswerTooLargeError(ProviderCallError):
    """The answer is larger than what may be held."""


def is_final(status: int) -> bool:
    """Whether a status is one that an answer may end with (RFC 9110, section 15)."""
    return 200 <= status < 600
