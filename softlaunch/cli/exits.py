"""Exit codes of the softlaunch command."""

from enum import IntEnum


class Exit(IntEnum):
    """What the command's exit code means."""

    OK = 0  # done; for a release: promoted
    FAILED = 1  # something broke that is not the user's doing
    USAGE = 2  # bad input: the message says what to change
    REJECTED = 3  # the candidate did not reach users: eval or shadow stopped it
    ROLLED_BACK = 4  # the candidate was rolled back from users
    INCONCLUSIVE = 5  # too little evidence, or it still waits for a decision
    ABORTED = 6  # a person stopped the release
    CONFLICT = 7  # somebody else holds the app's release lock
    UNCHANGED = 8  # a rollback found nothing left to roll back
    CHANGES = 9  # a diff found something that apply would change
