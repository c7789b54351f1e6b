"""What happens to an ensemble, on real servers and real zkboot in the lab: each story with the ledger, judged by its outcome."""
