"""Whether an installation is fit for a release: what is checked, and what each finding asks a person to do."""
