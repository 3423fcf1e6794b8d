"""Programs that hold conversations with tools by the packages that people use, as these are documented.

They run in an environment of their own, `.venv-clients`, and import nothing of softlaunch.
"""
