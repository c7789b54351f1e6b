"""Backups: what is copied, where it lies, who copies, and whether it is whole."""
