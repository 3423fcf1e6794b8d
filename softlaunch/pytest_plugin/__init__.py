"""A plugin for pytest: evals of prompts as tests. It imports nothing else of softlaunch until a test asks for one."""
