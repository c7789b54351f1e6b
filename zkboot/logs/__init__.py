"""The instance's journal, shipped to CloudWatch Logs and read from there."""
