"""Pages for a browser: report, gallery, play."""
