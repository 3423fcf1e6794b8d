"""The generated pages of the documentation, a module each: `lines()` yields a page's Markdown."""
