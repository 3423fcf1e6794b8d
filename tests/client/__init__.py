"""Tests of softlaunch.client."""
