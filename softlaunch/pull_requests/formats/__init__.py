"""A check's result for terminals, comments, programs, test reports and annotations, each with its escapes."""
