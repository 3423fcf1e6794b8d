"""What an application is told that uses the client wrongly, or before anything is known."""

from softlaunch.core.errors import SoftlaunchError


class ClientError(SoftlaunchError):
    """Something about the client or its server that a person can mend; the message says how."""


class NoVariantError(ClientError):
    """Nobody has said yet what an app serves: no server answered, and there is neither a copy on disk nor a default."""


class RouteError(ClientError):
    """What a server says of an app can't be understood."""
