"""The standard way to end a run that can't do what it was asked: Failed, with the error's message, no traceback."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from prefect.states import Failed

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.logs import keep_texts_out

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def fail_with_message(work: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """For every flow, below `@flow`: an error that a person can mend ends the run Failed, with the error's message.

    Whoever calls the flow gets the same error as without. Everything else that is raised keeps its traceback.
    """

    @wraps(work)
    def run(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return work(*args, **kwargs)
        except SoftlaunchError as error:
            return cast("_Result", Failed(data=error, message=str(error)))

    return run


class _WithoutTraceback(logging.Filter):
    """Passes over what Prefect logs, task by task and again for the run, of an error that the run's state names."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], SoftlaunchError))


keep_texts_out()
for _name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_WithoutTraceback())
