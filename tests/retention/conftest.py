"""Fixtures that these tests share with others."""

from tests.support.app_folder import app_folder, here

__all__ = ["app_folder", "here"]
