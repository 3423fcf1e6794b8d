"""People who decide about a release: who may, how they are asked, and what their answer comes to."""
