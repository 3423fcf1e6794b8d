"""Templates of prompts: compiled within bounds of nesting, rendered within bounds of work and size.

Whoever writes a prompt, and whoever sends the variables for one, can't make a gateway wait or run out of memory: each
loop, call, filter and operation is paid for out of a budget, before it is done, and what costs more is refused.
"""

from softlaunch.core.prompt_templates.budget import QUICK_WORK, WHOLE_WORK, Budget, TooHeavyError
from softlaunch.core.prompt_templates.compiling import compiled, rendered, variables_of

__all__ = ["QUICK_WORK", "WHOLE_WORK", "Budget", "TooHeavyError", "compiled", "rendered", "variables_of"]
