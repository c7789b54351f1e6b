"""The image: its template, its scripts, and what a build of it holds."""
