"""What a player says and what is known of a question, for tests that expect both to be there."""

from softlaunch.simulator.knowledge import Knowledge, Lesson
from softlaunch.simulator.models import Answer, Ask, Player


def answer_of(player: Player, ask: Ask, arrival_rps: float = 0.0) -> Answer:
    """The answer of a player that must not refuse."""
    performance = player.perform(ask, arrival_rps)
    assert isinstance(performance, Answer)
    return performance


def lesson_on(knowledge: Knowledge, question: str) -> Lesson:
    """The lesson on a question that was taught."""
    lesson = knowledge.find(question)
    assert lesson is not None
    return lesson
