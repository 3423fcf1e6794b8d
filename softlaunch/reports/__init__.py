"""What people read: reports, pages, artifacts."""
