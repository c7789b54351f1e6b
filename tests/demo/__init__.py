"""`make demo`: what the product does, in about a minute, on real servers in the lab's region."""
