"""Configuration for applications that call their models themselves: which variant for whom, and for how long."""
