"""What a model says and what is known of a question, for tests that expect both to be there."""

from softlaunch.simulator.knowledge import Knowledge, Lesson
from softlaunch.simulator.models import Answer, Ask, SimulatedModel


def answer_of(model: SimulatedModel, ask: Ask, arrival_rps: float = 0.0) -> Answer:
    """The answer of a model that must not refuse."""
    response = model.respond(ask, arrival_rps)
    assert isinstance(response, Answer)
    return response


def lesson_on(knowledge: Knowledge, question: str) -> Lesson:
    """The lesson on a question that was taught."""
    lesson = knowledge.find(question)
    assert lesson is not None
    return lesson
