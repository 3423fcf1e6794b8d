"""The root of every error that softlaunch raises on purpose."""


class SoftlaunchError(Exception):
    """Something a person can mend; the message says what happened and what to do next."""


class NotFoundError(SoftlaunchError):
    """A name that nothing is recorded under; the message lists what is."""


class ConflictError(SoftlaunchError):
    """Somebody else holds what was asked for, or it has changed since it was read."""
