"""Questions of live requests, as far as a policy lets their texts be stored."""

from sqlmodel import Session, col, select

from softlaunch.catalog.records import check_app
from softlaunch.evals.suites.suite_growth import Logged
from softlaunch.policy.route import Arm
from softlaunch.store.tables import TextRow


def logged_questions(session: Session, app: str, most: int = 20_000) -> list[Logged]:
    """Questions of users with stable's answers, the newest first. Raises NotFoundError for an unknown app.

    Texts that are there for judges alone are left out: nobody was told that they would be kept.
    """
    check_app(session, app)
    rows = session.exec(
        select(TextRow.request_id, TextRow.question, TextRow.answer)
        .where(TextRow.app == app, TextRow.arm == Arm.STABLE.value, col(TextRow.until_judged).is_(False))
        .order_by(col(TextRow.expires_at).desc())
        .limit(most)
    )
    return [Logged(request_id, question, answer) for request_id, question, answer in rows]
