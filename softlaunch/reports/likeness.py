"""How alike answers are, in words."""

from softlaunch.reports.wording import show_share
from softlaunch.store.agreement import Agreement, Likeness


def show_agreement(agreement: Agreement, *, kept: bool) -> str:
    """A paragraph for the shadow stage; where live texts aren't kept it says so instead of guessing."""
    if agreement.live is None:
        why = "no pair of texts is there yet" if kept else "texts of live requests are not kept (texts.keep)"
        live = f"How alike the copies' answers and stable's are is not known: {why}."
    else:
        live = f"The copies' answers are {_shown(agreement.live)} like those that users got."
    if agreement.golden is None or agreement.floor is None:
        return live
    return (
        f"{live} On the golden set the candidate's are {_shown(agreement.golden)} like stable's; stable's own, asked "
        f"twice, are {_shown(agreement.floor)} like each other, which is the noise."
    )


def _shown(likeness: Likeness) -> str:
    return f"{show_share(likeness.mean)} (± {100 * 2 * likeness.error:.1f}, {likeness.pairs:,} pairs)"
