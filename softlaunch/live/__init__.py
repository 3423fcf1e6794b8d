"""Live answers, judged: which wait, who asks judges about them, and what a release's gates may make of it."""
