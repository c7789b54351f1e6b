"""`make crash`: zkboot is killed, or its machine's power cut, right before and right after each named step, on real servers."""
